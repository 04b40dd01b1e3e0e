"""Collect the sentences of the project for its catalogues (`make messages`)."""

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """Django's own command, told where else sentences stand and never to guess a translation."""

    xgettext_options = [
        *makemessages.Command.xgettext_options,
        "--keyword=sentence",  # labeling/domain/sentences.py
        "--keyword=option:3",  # training/config_fields.py: the help of a field
    ]
    msgmerge_options = [
        *makemessages.Command.msgmerge_options,
        "--no-fuzzy-matching",
    ]
