"""Formulas become MathML of a short list of elements, or stay their source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.domain import formulas
from labeling.domain.formulas import as_mathml, looks_like_formula
from tests.labeling.domain.reader import Reader, assert_harmless


def test_as_mathml_sets_a_fraction() -> None:
    assert as_mathml(r"\frac{a}{2}", block=False) == (
        '<math alttext="\\frac{a}{2}" display="inline"><mrow><mfrac><mrow><mi>a</mi></mrow>'
        "<mrow><mn>2</mn></mrow></mfrac></mrow></math>"
    )


@pytest.mark.parametrize(
    "source",
    [
        r"\mathbf{x} \in \mathbb{R}^n",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{aligned}x&=1\\y&=2\end{aligned}",
        r"\begin{align}x&=1\\y&=2\end{align}",
        r"\begin{gather*}x\\y\end{gather*}",
        r"\begin{equation}x=1\end{equation}",
        r"\begin{cases}1&\text{if }x>0\\0&\text{else}\end{cases}",
        r"\begin{array}{r|c}x&1\\y&2\end{array}",
        r"\sum_{k=1}^{n} k = \frac{n(n+1)}{2}",
        r"\sqrt[3]{x} \left( \frac12 \right) \boxed{42} \binom{n}{k}",
        r"f'(x)=\lim_{h\to0}\frac{f(x+h)-f(x)}{h}",
        r"\displaystyle\int_0^1 x^2\,dx \approx 50\%",
        r"\text{a < b & c}",
        r"e^{i\pi}+1=0 \quad \forall x \neq y",
    ],
)
def test_as_mathml_sets_what_people_write(source: str) -> None:
    html = as_mathml(source, block=True)
    assert html is not None
    read = assert_harmless(html)
    assert read.tags[0][1] == {"alttext": source, "display": "block"}


@pytest.mark.parametrize(
    "source",
    [
        r"\phantom{hidden}",
        r"\color{white}{hidden}",
        r"\textcolor{white}{hidden}",
        r"\colorbox{red}{x}",
        r"\style{display:none}{x}",
        r"\class{navbar}{x}",
        r"\href{javascript:alert(1)}{x}",
        r"\rule{100em}{100em}",
        r"\hspace{-50em} x",
        r"\raise{50em}{x}",
        r"\smash{x}",
        r"\mathrlap{x}",
        r"\tiny x",
        r"\Huge x",
        r"\unicode{x202e}",
        r"\cancel{x}",
        r"\unknown{x}",
        r"\def\a{\a\a}\a",
        r"\newcommand{\a}{b}\a",
        r"x % hidden",
        "x\u200by",
        r"\frac{1",
        r"}{",
        r"x^",
        r"\left(",
        r"{" * 900,
        r"x_{x_{x_{x_{x_{x}}}}}",
        "x+" * formulas.MAX_CHARS,
    ],
)
def test_as_mathml_refuses_what_hides_moves_or_paints(source: str) -> None:
    assert as_mathml(source, block=False) is None


@pytest.mark.parametrize(
    "source", [r"\text{<script>alert(1)</script>}", r"\mbox{</math><img src=x onerror=alert(1)>}"]
)
def test_as_mathml_escapes_what_the_converter_does_not(source: str) -> None:
    html = as_mathml(source, block=False)
    assert html is not None
    assert {"script", "img"}.isdisjoint(assert_harmless(html).names)


_PIECES = [
    *(r"\frac", r"\sqrt", r"\text", r"\color", r"\left", r"\right", r"\begin{matrix}", r"\\"),
    *(r"\end{matrix}", "{", "}", "[", "]", "(", ")", "^", "_", "&", "x", "12", "<b>", "'", "|"),
    *("%", "~", r"\hat", r"\overset", r"\not", r"\sum", r"\limits", " ", "&lt;", '"', r"\verb|"),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=25))
def test_as_mathml_of_anything_is_harmless(pieces: list[str]) -> None:
    html = as_mathml("".join(pieces), block=False)
    if html is not None:
        assert_harmless(html)
        assert Reader(html).tags[0][1]["alttext"] == "".join(pieces)


@pytest.mark.parametrize("text", ["x", "n-1", "O(n)", r"\alpha", "a = b", "2^{10}", "AB", "x + y"])
def test_looks_like_formula_knows_formulas(text: str) -> None:
    assert looks_like_formula(text)


@pytest.mark.parametrize("text", ["500 and I have ", "5 or €4", "HOME/bin:", "link", "an aside"])
def test_looks_like_formula_knows_prose(text: str) -> None:
    assert not looks_like_formula(text)
