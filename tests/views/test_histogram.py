import gzip
import json

import bokeh

from workbench.views import histogram


def test_bokeh_is_the_core_that_is_installed():
    script = gzip.decompress(histogram.bokeh_js())
    assert f'"{histogram.bokeh_version()}"'.encode() in script
    assert bokeh.__version__.startswith(histogram.bokeh_version())
    assert len(histogram.bokeh_js()) < 500_000


def test_the_item_has_what_the_script_fills():
    text = json.dumps(histogram.histogram_item())
    for name in ("wb-calls", "wb-plot", "wb-p50", "wb-p99"):
        assert f'"{name}"' in text
    assert histogram.histogram_item()["version"] == bokeh.__version__


def test_axis_labels_are_human():
    text = json.dumps(histogram.histogram_item(), ensure_ascii=False)
    assert "10 µs" in text
    assert "1 ms" in text
