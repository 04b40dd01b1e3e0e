"""What is taken for personal data, by cases made by hand."""

import pytest

from labeling.domain.personal_data import is_card, is_iban, personal_data


def kinds(text: str) -> list[str]:
    return [found.kind for found in personal_data(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Write to anna.muster+news@mail.example.org today", ["email"]),
        ("用邮箱 li@例子.中国 联系我", ["email"]),
        ("a@b is no address, nor is @home", []),
        ("Call +49 30 901820, or (020) 7946 0958.", ["phone", "phone"]),
        ("Call 0049 30 9018 20 30", ["phone"]),
        ("Call 555-867-5309 now", ["phone"]),
        ("我的手机是13812345678", ["phone"]),
        ("In 1998 and 2004, 12 of 300 grew to 4 500 000", []),
        ("Version 3.11.4 of 2024-11-21, 21.11.2024", []),
        ("Pi is 3.14159265358979", []),
        ("DE89 3704 0044 0532 0130 00 is my account", ["iban"]),
        ("账号GB82WEST12345698765432。", ["iban"]),
        ("GB82WEST12345698765432", ["iban"]),
        ("GB82WEST12345698765431 fails its checksum", []),
        ("Card 4111 1111 1111 1111, 5500-0000-0000-0004", ["card", "card"]),
        ("4111 1111 1111 1112 fails its checksum", []),
        ("0000 0000 0000 0000", []),
        ("The server 192.0.2.44 and 2001:db8::ff00:42:8329", ["ip_address", "ip_address"]),
        ("127.0.0.1, 0.0.0.0, 256.1.1.1, ::1 and 1.2.3", []),
        ("It is 12:30:45, std::vector", []),
        ("Nothing of anybody here.", []),
    ],
)
def test_kinds(text, wanted):
    assert kinds(text) == wanted


def test_places_are_those_of_the_text_and_in_order():
    text = "IP 192.0.2.7, mail a@b.example."
    assert [text[f.start : f.end] for f in personal_data(text)] == ["192.0.2.7", "a@b.example"]


def test_checksums():
    assert is_card("378282246310005")
    assert not is_card("411111111111")  # twelve digits
    assert is_iban("FR14 2004 1010 0505 0001 3M02 606")
    assert not is_iban("FR15 2004 1010 0505 0001 3M02 606")


def test_a_long_text_is_read_in_little_time():
    text = "1-" * 20_000 + "a" * 20_000 + "A1" * 20_000 + ":" * 20_000 + "@" * 1000
    assert isinstance(personal_data(text), list)
