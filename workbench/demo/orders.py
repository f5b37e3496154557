"""A slow Python job: reads orders, drops doubles, prices them, posts them to a ledger.

Three things are wrong with it, and each shows in another view of a capture: `deduplicate` asks a
list whether it has seen an order, `parse_amount` does in Python what C could, and `Ledger.post`
holds its lock while it waits for the ledger's answer.

It prints what it did as JSON, by which tests compare.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

Order = dict[str, Any]
"""With ``id`` (a number), ``item`` and ``amount`` (texts)."""

ORDERS = 4_000
WORKERS = 4
ANSWER_S = 0.004
"""How long the ledger takes to answer."""


def make_orders(count: int) -> str:
    """Return JSON lines of orders, every fourth of which is there twice."""
    rows = [
        {
            "id": number,
            "item": f"item-{number % 97}",
            "amount": f"{number % 1000}.{number % 100:02}",
        }
        for number in range(count)
    ]
    rows += rows[::4]
    return "\n".join(json.dumps(row) for row in rows)


def parse(text: str) -> list[Order]:
    """Read the lines."""
    return [json.loads(line) for line in text.splitlines()]


def deduplicate(orders: list[Order]) -> list[Order]:
    """Keep the first of each; slow, as a list is searched from its start."""
    seen: list[int] = []
    kept = []
    for order in orders:
        if order["id"] not in seen:
            seen.append(order["id"])
            kept.append(order)
    return kept


def parse_amount(text: str) -> int:
    """Return cents; slow, digit by digit."""
    cents = 0
    for digit in text:
        if digit != ".":
            cents = cents * 10 + ord(digit) - ord("0")
    return cents


def price(orders: list[Order]) -> int:
    """Return the sum of all orders."""
    return sum(parse_amount(order["amount"]) for order in orders)


def store(orders: list[Order]) -> int:
    """Put the orders into a database and ask it for the best item."""
    base = sqlite3.connect(":memory:")
    base.execute("create table orders (id, item, amount)")
    base.executemany("insert into orders values (:id, :item, :amount)", orders)
    found = base.execute("select item, sum(amount) s from orders group by 1 order by s").fetchall()
    base.close()
    return len(found)


class Ledger:
    """Takes postings, one at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.posted = 0

    def post(self) -> None:
        """Post, and wait for the answer while everybody else waits, too."""
        with self.lock:
            self.answer()
            self.posted += 1

    def answer(self) -> None:
        """Wait for the ledger."""
        time.sleep(ANSWER_S)


def post_all(ledger: Ledger, count: int) -> None:
    """Post from several threads at once."""

    def run() -> None:
        for _ in range(count // WORKERS):
            ledger.post()

    threads = [threading.Thread(target=run, name=f"poster-{n}") for n in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def job(seconds: float) -> dict[str, float]:
    """Run rounds for some seconds; return what was done."""
    ledger = Ledger()
    text = make_orders(ORDERS)
    rounds, cents = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        orders = deduplicate(parse(text))
        cents = price(orders)
        store(orders)
        post_all(ledger, 40)
        rounds += 1
    return {"rounds": rounds, "orders": len(orders), "cents": cents, "posted": ledger.posted}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job from a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args(arguments)
    print(json.dumps(job(options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
