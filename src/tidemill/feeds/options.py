"""The options of a rule that its check does not have, each with the one that was probably meant and those there are."""

from collections.abc import Iterator

import msgspec

from tidemill.checks.library import checks_by_name
from tidemill.feeds.convert import did_you_mean
from tidemill.feeds.definition import Rule


def unknown_options(rule: Rule) -> Iterator[tuple[str, str]]:
    """(option, sentence) of each, for a rule whose check is known."""
    known = [field.encode_name for field in msgspec.structs.fields(checks_by_name()[rule.check])]
    for option in rule.options:
        if option not in known:
            hint = did_you_mean(option, known)
            more = f"; its options: {', '.join(known)}" if "did you mean" in hint else ""
            yield option, f"'{rule.check}' has no option '{option[:60]}'{hint}{more}"
