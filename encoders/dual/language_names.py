"""English names of languages, for the prefix that tells a network what it reads.

They decide vectors: a name is added only together with a model that was trained with it. Source:
the reference names of ISO 639-3 (SIL), without what stands in brackets there.
"""

from __future__ import annotations

# One line a language, sorted: those that mining.contract.languages knows.
_TABLE = """
afr Afrikaans
amh Amharic
ara Arabic
asm Assamese
ast Asturian
aze Azerbaijani
bak Bashkir
bel Belarusian
ben Bengali
bod Tibetan
bos Bosnian
bre Breton
bul Bulgarian
cat Catalan
ceb Cebuano
ces Czech
ckb Central Kurdish
cym Welsh
dan Danish
deu German
ell Greek
eng English
epo Esperanto
est Estonian
eus Basque
fao Faroese
fas Persian
fil Filipino
fin Finnish
fra French
fry Western Frisian
ful Fulah
gla Scottish Gaelic
gle Irish
glg Galician
grn Guarani
guj Gujarati
hau Hausa
hbs Serbo-Croatian
heb Hebrew
hin Hindi
hrv Croatian
hun Hungarian
hye Armenian
ibo Igbo
ina Interlingua
ind Indonesian
isl Icelandic
ita Italian
jav Javanese
jpn Japanese
kab Kabyle
kan Kannada
kat Georgian
kaz Kazakh
khm Khmer
kin Kinyarwanda
kir Kirghiz
kor Korean
kur Kurdish
lao Lao
lat Latin
lav Latvian
lin Lingala
lit Lithuanian
ltz Luxembourgish
lug Ganda
luo Luo
mal Malayalam
mar Marathi
mkd Macedonian
mlg Malagasy
mlt Maltese
mon Mongolian
mri Maori
msa Malay
mya Burmese
nep Nepali
nld Dutch
nno Norwegian Nynorsk
nob Norwegian Bokmål
nso Pedi
nya Nyanja
oci Occitan
ori Oriya
orm Oromo
pan Panjabi
pol Polish
por Portuguese
pus Pushto
que Quechua
roh Romansh
ron Romanian
rus Russian
san Sanskrit
sin Sinhala
slk Slovak
slv Slovenian
sna Shona
snd Sindhi
som Somali
sot Southern Sotho
spa Spanish
sqi Albanian
srd Sardinian
srp Serbian
ssw Swati
sun Sundanese
swa Swahili
swe Swedish
tam Tamil
tat Tatar
tel Telugu
tgk Tajik
tha Thai
tir Tigrinya
tsn Tswana
tuk Turkmen
tur Turkish
uig Uighur
ukr Ukrainian
umb Umbundu
urd Urdu
uzb Uzbek
vie Vietnamese
wol Wolof
xho Xhosa
yid Yiddish
yor Yoruba
yue Yue Chinese
zho Chinese
zul Zulu
"""

_NAMES: dict[str, str] = {line[:3]: line[4:] for line in _TABLE.split("\n") if line}


def language_name(code: str) -> str:
    """The English name of a canonical code, its script left out; the code itself if none is known."""
    language = code.split("_")[0]
    return _NAMES.get(language, language)
