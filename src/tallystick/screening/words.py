"""Words and letters that say nothing about whose name it is, or say it in another alphabet: data, changed with care.

Whoever changes them changes what is found: raise the version of the rules in `matching`, so that everybody is screened
again.
"""

# ruff: noqa: RUF001 Letters that look like others are what this is about.

from typing import Final

__all__ = [
    "APOSTROPHES",
    "CHINESE_LEGAL_FORMS",
    "COMMON_WORDS",
    "LATIN_LETTERS",
    "LEGAL_FORMS",
    "SMALL_WORDS",
    "SPELLINGS",
]

APOSTROPHES: Final = "'’‘`´ʹʺʻʼ"

# Letters that NFKD leaves whole, and two alphabets after common Latin usage. Marks are gone before this is asked.
LATIN_LETTERS: Final = str.maketrans(
    {
        "ß": "ss", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ħ": "h",
        "ŋ": "n", "ə": "a",
        "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "є": "ye", "ж": "zh", "з": "z",
        "и": "i", "і": "i", "ј": "j", "к": "k", "л": "l", "љ": "lj", "м": "m", "н": "n", "њ": "nj", "о": "o",
        "п": "p", "р": "r", "с": "s", "т": "t", "ћ": "c", "ђ": "dj", "у": "u", "ф": "f", "х": "kh", "ц": "ts",
        "ч": "ch", "џ": "dz", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
        "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i", "κ": "k",
        "λ": "l", "μ": "m", "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t",
        "υ": "y", "φ": "f", "χ": "ch", "ψ": "ps", "ω": "o",
    }
)  # fmt: skip

# One sound, written in several ways when a name comes from another language; asked in this order.
SPELLINGS: Final = (
    ("ae", "a"), ("oe", "o"), ("ue", "u"), ("ph", "f"), ("ck", "k"), ("x", "ks"), ("w", "v"), ("y", "i"), ("j", "i"),
)  # fmt: skip

# Written without a blank before them; the longer ones first.
CHINESE_LEGAL_FORMS: Final = (
    "股份有限公司",
    "有限责任公司",
    "有限責任公司",
    "有限公司",
    "株式会社",
    "株式會社",
    "集团",
    "集團",
    "公司",
)

# Legal forms, and the words that stand in for them.
LEGAL_FORMS: Final = frozenset(
    [
        "ab", "ad", "ag", "aps", "as", "asa", "bhd", "bv", "co", "company", "corp", "corporation", "dd",
        "doo", "ead", "eood", "fzc", "fzco", "fze", "fzllc", "gesmbh", "gk", "gmbh", "inc",
        "incorporated", "jsc", "kft", "kg", "kgaa", "kk", "lda", "limited", "llc", "llp", "lp", "ltd",
        "ltda", "mbh", "nv", "oao", "ohg", "ood", "ooo", "oy", "oyj", "pao", "pjsc", "plc", "private",
        "pte", "pty", "public", "pvt", "sa", "sae", "sal", "sarl", "sas", "sdn", "se", "sl", "spa",
        "spk", "sprl", "srl", "sro", "ug", "wll", "zao", "zrt",
    ]
)  # fmt: skip

SMALL_WORDS: Final = frozenset(
    [
        "and", "das", "der", "die", "el", "et", "la", "le", "les", "los", "of", "the", "und", "y",
    ]
)  # fmt: skip

# Words that so many companies bear that sharing them tells nothing.
COMMON_WORDS: Final = frozenset(
    [
        "airlines", "airways", "automotive", "aviation", "bank", "business", "capital", "chemical",
        "chemicals", "commerce", "commercial", "construction", "consulting", "development", "electric",
        "electronics", "energy", "engineering", "enterprise", "enterprises", "equipment", "export",
        "finance", "financial", "food", "foods", "foundation", "gas", "general", "global", "group",
        "holding", "holdings", "import", "industrial", "industries", "industry", "insurance",
        "international", "investment", "investments", "logistics", "machinery", "management", "marine",
        "maritime", "metal", "metals", "mining", "motor", "motors", "national", "oil", "petroleum",
        "pharma", "pharmaceutical", "pharmaceuticals", "power", "products", "retail", "services",
        "shipping", "solutions", "steel", "supplies", "supply", "systems", "technologies", "technology",
        "telecom", "textile", "textiles", "trade", "trading", "transport", "world",
    ]
)  # fmt: skip
