"""Drawings for properties, and the heads of arrows in Mermaid."""

from hypothesis import strategies as st

from phrasim.site.sequence import Drawing, DrawnArrow, DrawnNote

WORDS = st.text("ab #;/.", min_size=1, max_size=12).map(str.strip).filter(lambda text: text not in ("", "br/"))
LABELS = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
HEADS = {
    (False, False, False): "->>",
    (True, False, False): "-->>",
    (False, True, False): "-x",
    (True, True, False): "--x",
    (False, False, True): "-)",
    (True, False, True): "--)",
}
NAMES = ("User", "Upload", "Auth service")


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    place = st.integers(0, len(NAMES) - 1)
    arrows = st.builds(
        lambda start, end, lines, head: DrawnArrow(start, end, lines, *head),
        place,
        place,
        LABELS,
        st.sampled_from(list(HEADS)),
    )
    notes = st.builds(lambda a, b, lines: DrawnNote(min(a, b), max(a, b), lines), place, place, LABELS)
    return Drawing(draw(WORDS), NAMES, tuple(draw(st.lists(arrows | notes, max_size=6))))
