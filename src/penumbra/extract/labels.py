"""Context labels from what a captioner says: short, clean, and without the main object (SynOOD 3.3)."""

import re
import unicodedata

CHARACTERS = 40  # of a label: an answer without a comma is a sentence, or endless
FILLERS = {"a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "with", "some"}  # neither begin nor end a label, nor name a class
SEPARATORS = re.compile(
    r"[,;\r\n]"  # a list
    r"|(?:^|(?<=\s))(?:[-*•·–—]|\(?\d{1,3}[.):])(?=\s)"  # its bullets and numbers
    r"|(?<=\w{3})[.!?](?=\s|$)"  # sentences, not abbreviations
)
DROPPED = re.compile(r'[()\[\]{}<>"“”`]')
WORD = re.compile(r"[^\W_]+(?:['’][sS]\b)?")


def stems(text: str) -> set[str]:
    """The words of a class name or label without fillers; upper and lower case, singular and plural are one."""
    return {_stem(word) for word in WORD.findall(text)} - FILLERS


def clean(answer: str, name: str, labels: int) -> list[str]:
    """The first labels of an answer; none of an empty one.

    Args:
        answer: a list, whatever divides it (commas, semicolons, line breaks, bullets, numbers), or sentences; of any length.
        name: of the image's class; its words are taken out.
        labels: how many, at most.

    Returns:
        Distinct labels (in upper or lower case) of 1..CHARACTERS characters, in the answer's order.
    """
    own, found = stems(name), {}
    for part in SEPARATORS.split(answer):
        others = WORD.sub(lambda match: "" if _stem(match[0]) in own else match[0], DROPPED.sub(" ", part))
        label = _shortened(_trimmed(others))
        if label:
            found.setdefault(label.casefold(), label)
        if len(found) == labels:
            break
    return list(found.values())


def _stem(word: str) -> str:
    return re.sub(r"['’]s$|(?<=\w\w)s$", "", word.casefold())


def _trimmed(text: str) -> str:
    """One space between words; no punctuation and no fillers at either end."""
    words = "".join(character if character.isprintable() else " " for character in text).split()
    while words and not (_bare(words[0]) and _bare(words[0]).casefold() not in FILLERS):
        words.pop(0)
    while words and not (_bare(words[-1]) and _bare(words[-1]).casefold() not in FILLERS):
        words.pop()
    return _bare(" ".join(words))


def _bare(text: str) -> str:
    """Without punctuation, symbols and spaces at either end."""
    kept = [place for place, character in enumerate(text) if unicodedata.category(character)[0] in "LMN"]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def _shortened(label: str) -> str:
    """Cut between words, or within the first word if that is too long."""
    if len(label) <= CHARACTERS:
        return label
    return _trimmed(label[: CHARACTERS + 1].rpartition(" ")[0]) or _trimmed(label[:CHARACTERS])
