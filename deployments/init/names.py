"""The role of a column by its name. Names are compared by their words, so their spelling does not count."""

import re
from typing import Final

from everfit.tasks.core.column_words import column_words, plain_name

_LATER: Final = re.compile(
    r"(^|_)(actual|arrived|arrival|closed|close|closing|completed|completion|resolved|resolution|ended|end|finished|"
    r"finish|returned|churned|cancel\w*|outcome|settled|settlement|paid|dropoff|drop_off|final|result|label|labelled|"
    r"labeled|known|delivered|discharged?|decided|decision|verdict|confirmed|verified|charged_?back|repaid|died|death)(_|$)"
)
_WRITTEN: Final = re.compile(
    r"(^|_)(updated?|modified|modification|changed|refreshed|loaded|load|ingested|imported|exported|synced|extracted|"
    r"inserted|processed|etl|dwh|last)(_|$)"
)
_BIRTH: Final = re.compile(
    r"(^|_)(birth|birthday|birthdate|born|dob|geburt\w*|geboren\w*|geboorte\w*|naissance|nacimiento|nascita|nascimento)(_|$)"
)
_PROPERTY: Final = re.compile(
    r"(^|_)(opened|opening|open|since|built|build|constructed|manufactured?|founded|established|incorporated|"
    r"registered|registration|joined|join|hired?|enrolled|enrolment|enrollment|signup|sign_up|member|valid|issued|"
    r"expir\w*|renewed|installed|commissioned|inception|first)(_|$)"
)
_PLANNED: Final = re.compile(r"(^|_)(due|deadline|planned|promised|expected|estimated|target|eta|next|until)(_|$)")
_EVENT: Final = re.compile(
    r"(^|_)(event|timestamp|datetime|ts|time|date|when|at|day|hour|created|creation|ordered|order|booked|booking|"
    r"applied|application|submitted|submission|requested|request|reported|occurred|happened|observed|recorded|measured|"
    r"logged|visited|visit|admitted|admission|purchased|purchase|sold|sale|transaction|trans|trade|invoice|started|"
    r"start|begin|began|pickup|departure|departed|appointment|incident|scheduled|shipped|sent|call|session)(_|$)"
)
_EVENT_ITSELF: Final = re.compile(
    r"^(event|transaction|trans|order|application|booking|purchase|sale|request|incident|visit|pickup|invoice|trade|"
    r"submission|created|creation|ordered|applied|submitted|requested|occurred)(_|$)|^(timestamp|datetime|date|time|ts|when)$"
)
_TIME: Final = re.compile(r"time|date|stamp|(^|_)(at|ts|on)$|epoch|unix|(^|_)(dob|born)(_|$)")
_DATE_PARTS: Final = re.compile(
    r"(^|_)(year|years|month|day|week|quarter|hour|minute|yr|mnth|mon|qtr|dayofyear|dayofmonth|weekofyear)(_|$)"
)
_PROTECTED: Final = re.compile(
    r"(^|_)(sex|gender|race|racial|ethnic\w*|religion|age|ages|nationality|citizenship|marital\w*|disab\w*|pregnan\w*)"
    r"(_|$)"
)
_THINGS: Final = (
    "account|aircraft|asset|battery|boat|building|car|claim|contract|device|domain|engine|equipment|flat|home|house|"
    "loan|machine|order|plane|policy|property|roof|ship|tenancy|tree|truck|unit|vehicle"
)
_AGE_OF_A_THING: Final = re.compile(rf"(^|_)(({_THINGS})_ages?|ages?_of_({_THINGS}))(_|$)")
_IDENTIFIER: Final = re.compile(r"(^|_)(id|ids|uuid|guid|key|number|no|nr|code|index|rowid|unnamed_0)$|^id(_|$)")


def is_named_as_time(name: object) -> bool:
    """Return whether numbers under the name could be seconds since 1970."""
    return _TIME.search(plain_name(name)) is not None


def is_named_as_later(name: object) -> bool:
    """Return whether a time is called as one at which the outcome became known, such as `ClosedDate`."""
    return _LATER.search(plain_name(name)) is not None


def is_named_as_written(name: object) -> bool:
    """Return whether a time is called as one at which the row was written, such as `updated_at`."""
    return _WRITTEN.search(plain_name(name)) is not None


def is_named_as_birth(name: object) -> bool:
    """Return whether a time is called as the birth of a person."""
    return _BIRTH.search(plain_name(name)) is not None


def is_named_as_property(name: object) -> bool:
    """Return whether a time is called as a lasting property of a thing, such as `customer_since` or `valid_from`."""
    return _PROPERTY.search(plain_name(name)) is not None or is_named_as_birth(name)


def is_named_as_planned(name: object) -> bool:
    """Return whether a time is called as one that lies ahead of the event, such as `due_date`."""
    return _PLANNED.search(plain_name(name)) is not None


def is_named_as_event(name: object) -> bool:
    """Return whether a time is called as the time of an event."""
    return _EVENT.search(plain_name(name)) is not None


def is_named_as_the_event(name: object) -> bool:
    """Return whether a time's name says that it is the event's own, such as `OrderDate` or `timestamp`."""
    return _EVENT_ITSELF.search(plain_name(name)) is not None


def is_named_as_date_part(name: object) -> bool:
    """Return whether a column is called as a part of a date, such as `Month` or `orderYear`."""
    return _DATE_PARTS.search(plain_name(name)) is not None


def is_named_as_protected(name: object) -> bool:
    """Return whether a column is called as a protected group of people, such as `Gender`, and not as a car's age."""
    words = plain_name(name)
    return _PROTECTED.search(words) is not None and _AGE_OF_A_THING.search(words) is None


def is_named_as_identifier(name: object) -> bool:
    """Return whether a column is called as an identifier, such as `CustomerID` or `order no.`."""
    return _IDENTIFIER.search(plain_name(name)) is not None and len(column_words(name)) <= 6
