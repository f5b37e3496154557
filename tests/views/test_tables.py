from workbench.views.tables import banner, cards, table

HOSTILE = "<img src=x onerror=alert(1)>"


def test_cells_titles_and_captions_are_escaped():
    html = table([HOSTILE, "n"], [[HOSTILE, 3]], numeric=[1], wide=[0], caption=HOSTILE)
    assert "<img" not in html
    assert html.count("&lt;img") == 3
    assert '<td class="wb-number">3</td>' in html
    assert '<td class="wb-wrap">' in html


def test_a_banner_only_where_there_is_something_to_say():
    assert banner("") == ""
    assert 'role="alert"' in banner("12 events were lost")
    assert "<img" not in banner(HOSTILE)


def test_cards_hold_their_figures():
    html = cards([("1,234", "calls", "2 a second"), ("0", HOSTILE, "")])
    assert html.count('class="wb-card"') == 2
    assert "1,234" in html
    assert html.count("wb-card-detail") == 1
    assert "<img" not in html
