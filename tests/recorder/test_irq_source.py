"""Names of interrupts, as the kernel's sysfs tells them."""

import numpy as np

from workbench.event_texts import IRQ_TYPES
from workbench.recorder import irq_source
from workbench.recorder.irq_source import IrqSource, handler_names


def test_names_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(irq_source, "INTERRUPTS", tmp_path)
    for number, text in ((3, "disk\n"), (4, "usb1,usb2\n")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "actions").write_text(text)
    source = object.__new__(IrqSource)
    source._names = {}
    names = ["device", "softirq", "device", "device", "device"]
    types = np.array([IRQ_TYPES.index(name) for name in names], np.uint16)
    irqs = np.array([4, 3, 3, 4, 77], np.uint16)
    wanted = ["usb1,usb2", "", "disk", "usb1,usb2", ""]
    assert source._handlers(types, irqs).to_pylist() == wanted
    monkeypatch.setattr(irq_source, "INTERRUPTS", tmp_path / "gone")
    assert source._handlers(types, irqs).to_pylist() == wanted
    assert len(source._handlers(types[:0], irqs[:0])) == 0


def test_names_of_this_machine():
    assert handler_names(-1) == ""
    assert all("\n" not in handler_names(number) for number in range(64))
