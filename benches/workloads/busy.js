// Ordinary JavaScript for `busy.js SECONDS`: JSON, regular expressions, sorting, calls, garbage.
"use strict";

class Node {
  constructor(depth) {
    this.children = depth ? [new Node(depth - 1), new Node(depth - 1)] : [];
    this.value = depth;
  }

  total() {
    return this.children.reduce((sum, child) => sum + child.total(), this.value);
  }
}

function work() {
  const words = Array.from({ length: 2000 }, (_, i) => String((i * 7919) % 1000));
  words.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const text = JSON.stringify({ words, map: Object.fromEntries(words.map((w, i) => [w, i])) });
  const found = text.match(/[0-9]+(?=")/g).length;
  return JSON.parse(text).words.length + found + new Node(8).total();
}

const until = Date.now() + 1000 * Number(process.argv[2]);
let sum = 0;
while (Date.now() < until) sum += work();
process.exitCode = sum > 0 ? 0 : 1;
