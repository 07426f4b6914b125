"""What a person may have meant by a name that there is not."""

import difflib


def nearest(word: str, known: list[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'background'? (keep, grey, whole)`."""
    close = difflib.get_close_matches(word, known, 1)
    return (f"; did you mean {close[0]!r}?" if close else ";") + f" ({', '.join(known)})"
