import pytest

from mining.contract.licences import allows_commerce


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("Apache-2.0", True),
        ("apache 2.0", True),
        ("MIT", True),
        ("CC0-1.0", True),
        ("cc-by-4.0", True),
        ("CC BY-SA 4.0", True),
        ("CC-BY-3.0-DE", True),
        ("GPL-3.0-or-later", True),
        ("LGPL-2.1-only", True),
        ("ODbL-1.0", True),
        ("gemma", True),
        ("llama3.1", True),
        ("bigscience-openrail-m", True),
        ("openrail++", True),
        ("CC-BY-NC-4.0", False),
        ("cc_by_nc_sa_4.0", False),
        ("CC BY-NC-ND 4.0", False),
        ("cc-by-nd-4.0", False),
        ("research only", False),
        ("Academic use", False),
        ("fair-noncommercial-research-license", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("MIT AND CC-BY-NC-4.0", False),
        ("MIT OR CC-BY-NC-4.0", True),
        ("MIT AND house rules", None),
        ("house rules OR CC-BY-NC-4.0", None),
        ("unknown", None),
        ("other", None),
        ("mitigated", None),
        ("sync", None),
        ("", None),
    ],
)
def test_what_allows_commerce(licence, allowed):
    assert allows_commerce(licence) is allowed
