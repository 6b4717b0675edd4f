"""What texts have to be to reach a program."""


def can_travel(text: str) -> bool:
    """Whether a program can be given it, and a message can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
