"""Networks as text: a formula, or code in SQL, Python or C."""

from pathrelu.export.text._formula import subnetworks_of as subnetworks_of
from pathrelu.export.text._text import LANGUAGES as LANGUAGES
from pathrelu.export.text._text import MOST_DIGITS as MOST_DIGITS
from pathrelu.export.text._text import to_text as to_text
