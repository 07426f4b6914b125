"""Rows for tables."""


def numbered_rows(count: int) -> list[dict]:
    return [{"key": f"photo-{number}", "number": number} for number in range(count)]
