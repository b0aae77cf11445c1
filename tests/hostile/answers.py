"""What a page may print, so that the model's answer is meant to do damage."""

from __future__ import annotations

from typing import Final

ANSWERS: Final = [
    "<|ref|>text<|/ref|><|det|>[[__import__('os').system('touch pwned')]]<|/det|>\nwords\n",
    "<|ref|>image<|/ref|><|det|>[[(lambda: open('pwned', 'w'))(), 0, 9, 9]]<|/det|>\n",
    "<|ref|>image<|/ref|><|det|>[[0, 0, 999, 999]] + [x for x in ().__class__]<|/det|>\n",
    "<|ref|>image<|/ref|><|det|>[[-500, -1, 99999999999999999999, 1e308]]<|/det|>\n",
    "<|ref|>image<|/ref|><|det|>[[900, 900, 100, 100], [5, 5, 5, 5]]<|/det|>\n",
    "<|ref|>image<|/ref|><|det|>[[nan, inf, -inf, 1]]<|/det|>\n",
    "<|ref|>image<|/ref|><|det|>" + "[" * 5000 + "]" * 5000 + "<|/det|>\n",
    "<|ref|>text<|/ref|><|det|>[[1, 1, 9, 9]]<|/det|>\nw\n" * 6000,
    "<|ref|>" * 3000 + "<|det|>" * 3000 + "<|/ref|>" * 3000,
    "<|ref|>../../../escaped<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\n![](../../../etc/passwd)\n",
    "<script>alert(1)</script><img src=x onerror=alert(1)>\n<iframe src='file:///etc/passwd'>\n",
    "--><script>alert(1)</script><!-- page 99 -->\n<!-- page 1: ok -->\n",
    "<table><tr><td onclick='alert(1)' style='x'>a</td></tr><table><table></td></html>",
    "<table>" + "<tr><td colspan=999999999 rowspan=999999999>a</td></tr>" * 50 + "</table>",
    "\\end{document}\\input{/etc/passwd} \\[ \\( $$ \\coloneqq \\eqqcolon",
    "\x00\x01\x1b[2J\u202e\u2028\ufeff\ufffe\ud800 words",
    "A" * 1_000_000,
    "= SUM(A1)\n@import url(//example.invalid)\njavascript:alert(1)\n[x](javascript:alert(1))",
    "",
    "\n" * 5000,
]

EMPTY: Final = {1, 2, 3, 5, 18}
"""Indices of answers without text: nothing at all, or pictures whose boxes are none."""

LOOPED: Final = {6, 7, 8, 19}
"""Indices of answers that repeat themselves."""
