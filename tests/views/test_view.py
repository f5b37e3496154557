from workbench.views.view import PlainView, View


class Scripted(View):
    def __init__(self, title):
        self.title = title

    def fragment(self):
        return "<p>content</p>"


class Plain(PlainView, Scripted):
    pass


def test_shown_in_a_notebook():
    assert Scripted("t")._repr_html_() == "<p>content</p>"
    shown = Plain("t")._repr_html_()
    assert shown.startswith("<style>")
    assert shown.endswith("<p>content</p>")


def test_saved_as_a_page_with_a_title(tmp_path):
    assert "<title>t</title>" in Scripted("t").save(tmp_path / "a.html").read_text()
    text = Plain("").save(tmp_path / "b.html").read_text()
    assert "<title>Plain</title>" in text
    assert "<p>content</p>" in text
