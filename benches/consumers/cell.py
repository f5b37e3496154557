"""A cell of the workbench with the program of BCC's rows: ``LOAD NAME``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import workbench as wb
from benches.consumers import fail, serve
from benches.harness import Load

SOURCES = Path(__file__).parent.parent / "bpf"


def main(load: Load, name: str) -> None:
    wanted = "||".join(f"(p)=={pid}" for pid in load.pids)
    texts = [(SOURCES / file).read_text() for file in ("output.bcc.h", f"{name}.bcc.c")]
    with wb.bpf("".join(texts), cflags=[f"-DWANTED(p)=({wanted})"]) as cell:

        def counts() -> dict[str, int | None]:
            (row,) = cell.losses.rows(named=True)
            return {"delivered": row["delivered"], "dropped": row["full"] + row["forgotten"]}

        serve(load, counts)
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    try:
        main(Load.parse(sys.argv[1]), sys.argv[2])
    except wb.WorkbenchError as error:
        fail(str(error))
