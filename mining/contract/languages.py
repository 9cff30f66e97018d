"""Language codes: ISO 639-3 macro codes inside, every other spelling translated at the readers.

A code is three letters, with an optional script (``zho``, ``zho_Hant``, ``srp_Latn``). Aliases are
ISO 639-1, individual languages of a macro language, and the spellings of BCP-47, FLORES-200, Common
Voice and NTREX.
"""

from __future__ import annotations

import re

# ISO 639-3 code: other codes of the same language. One line a language, sorted.
_TABLE = """
afr af
amh am
ara ar arb
asm as
ast
aze az azj
bak ba
bel be
ben bn
bod bo
bos bs
bre br
bul bg
cat ca
ceb
ces cs cze
ckb
cym cy wel
dan da
deu de ger
ell el gre
eng en
epo eo
est et ekk
eus eu baq
fao fo
fas fa pes per prs
fil tl tgl
fin fi
fra fr fre
fry fy
ful ff fuv
gla gd
gle ga
glg gl
grn gn gug
guj gu
hau ha
hbs sh
heb he iw
hin hi
hrv hr
hun hu
hye hy arm
ibo ig
ina ia
ind id in
isl is ice
ita it
jav jv
jpn ja
kab
kan kn
kat ka geo
kaz kk
khm km
kin rw
kir ky
kor ko
kur ku kmr
lao lo
lat la
lav lv lvs
lin ln
lit lt
ltz lb
lug lg
luo
mal ml
mar mr
mkd mk mac
mlg mg plt
mlt mt
mon mn khk
mri mi mao
msa ms zsm may
mya my bur
nep ne npi
nld nl dut
nno nn
nob nb no nor
nso
nya ny
oci oc
ori or ory
orm om gaz
pan pa
pol pl
por pt
pus ps pbt
que qu quy quz
roh rm
ron ro rum mo
rus ru
san sa
sin si
slk sk slo
slv sl
sna sn
snd sd
som so
sot st
spa es
sqi sq als alb
srd sc
srp sr
ssw ss
sun su
swa sw swh
swe sv
tam ta
tat tt
tel te
tgk tg
tha th
tir ti
tsn tn
tuk tk
tur tr
uig ug
ukr uk
umb
urd ur
uzb uz uzn
vie vi
wol wo
xho xh
yid yi ydd
yor yo
yue
zho zh cmn chi
zul zu
"""

_CANONICAL: dict[str, str] = {
    alias: line.split()[0] for line in _TABLE.split("\n") if line for alias in line.split()
}
_ALPHA2: dict[str, str] = {
    code: alias for alias, code in reversed(_CANONICAL.items()) if len(alias) == 2
}
_CODE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?")
# Default scripts are dropped, so that FLORES' deu_Latn and plain deu are one language.
_NON_DEFAULT_SCRIPTS = frozenset({"zho_Hant", "srp_Latn", "aze_Arab", "kaz_Latn", "uzb_Cyrl"})
_TRADITIONAL = re.compile(r"(?:zh|zho|cmn|chi)[-_](?:TW|HK|MO)", re.IGNORECASE)

KNOWN: frozenset[str] = frozenset(_CANONICAL.values())


def canonical_language(code: str) -> str | None:
    """The code used inside (``"de-DE"`` -> ``"deu"``, ``"zh-TW"`` -> ``"zho_Hant"``), or None.

    A well-formed three-letter code that the table does not know is kept in lower case: there are
    7,000 languages. None means that the text is no language code at all.
    """
    match = _CODE.fullmatch(code.strip())
    if match is None:
        return None
    letters, script = match.group(1).lower(), match.group(2)
    base = _CANONICAL.get(letters, letters if len(letters) == 3 else None)
    if base is None:
        return None
    if _TRADITIONAL.fullmatch(code.strip()):
        return f"{base}_Hant"
    tagged = f"{base}_{script.title()}" if script else base
    return tagged if tagged in _NON_DEFAULT_SCRIPTS or base not in KNOWN else base


def alpha2(code: str) -> str | None:
    """The ISO 639-1 code of a canonical code (``"deu"`` -> ``"de"``), or None if it has none."""
    return _ALPHA2.get(code.split("_")[0])
