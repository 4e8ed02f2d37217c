"""Every error that the gateway raises on purpose.

GatewayError
├── SettingsError            a setting or region.toml is wrong; the process does not start
├── BadRequest               the caller's words are wrong; names the field
│   ├── NotAcceptable        no representation that the caller accepts
│   ├── UnsupportedMediaType the body is of a kind that we do not take
│   ├── TooSlow              the body comes too slowly
│   ├── RangeNotSatisfiable  the byte range lies behind the end; has the size
│   ├── PayloadTooLarge      a limit is exceeded
│   └── TooBroad             a search that would have to read too many records
├── DemoError                a program of the demo region does not start, or died
├── NotFound                 every site that may know was asked, and none has it
│   └── Gone                 it was there: the index knows it
├── NoSiteAnswered           silence: no site answered, or the only holders are silent
├── PatientsDiffer           one StudyInstanceUID, different patients: nothing is mixed
├── LinkRefused              a person's word on a link of identifiers that cannot be
├── NoRoom                   our own disk is full
├── AuditUnavailable         a line of the audit cannot be written; nothing is given out
├── BadSignature             a site's event is not signed by that site, or not now
├── ForeignPage              a page of another address sends a form to us
├── NotSignedIn              nobody, or credentials that are no good
├── NotAllowed               no role of the actor may do this
│   └── OnlyToView           a grant shows the study and does not give its files
├── TooManyTries             of a password, a code or a test: wait
├── OAuthRefused             a program's request for a token; `code` as RFC 6749 5.2 has it
├── AccountRefused           an account or a client cannot be so; `why` is a code
├── RecordsUnavailable       the database does not answer; a later try may work
├── LeaseLost                another keeper leads; what this one was about to write is dropped
├── RuleSetChanged           somebody saved another version since the author looked
├── RegisterChanged          somebody wrote into the register since the author looked
├── RuleSetRefused           a version or an activation cannot be used; `why` is a code
├── Unreadable               a field that a rule asks for cannot be read of this study
├── GatewayBusy              this process already does as much at once as it may
├── QueueUnavailable         Redis does not answer; work waits in the database
├── RecordsRefused           the database refused a statement: a mistake of ours
│   └── NotRecordable        what a caller said fits into no column: NUL, a number beyond its range
├── CollectorUnavailable     who collects the audit does not take it; its lines wait
└── SiteError                one site failed; `transient` tells whether a later try may work
    ├── SiteUnreachable      refused, reset, DNS, TLS
    ├── SiteTimeout          too slow for the deadline that it was given
    ├── SiteBusy             our own limit of parallel calls to that site is used up
    ├── SiteRefused          answered with an HTTP error status
    ├── SiteUntrusted        its certificate or our password is not accepted
    ├── SiteSpeaksGarbage    answered something that is no DICOMweb
    ├── SiteAnswersOther     answered with another study than was asked
    └── SiteStreamCut        its answer broke off before its end

Status codes are chosen only in web/errors.py and dicom/store_response.py.
"""

from collections.abc import Mapping, Sequence


class GatewayError(Exception):
    """Root of the tree. `transient` decides whether a job may try again."""

    transient = False


class SettingsError(GatewayError):
    """One or more mistakes in settings or region.toml, each a full sentence."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class DemoError(GatewayError):
    """A server or program that we started as a child does not start or died; has its log's end."""


class BadRequest(GatewayError):
    """The request is wrong in `field`; `problem` says how. Never echoes the value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotAcceptable(BadRequest):
    """Nothing that we (or the site) can produce matches Accept (PS3.18 8.7)."""


class UnsupportedMediaType(BadRequest):
    """The body's media type or coding is not one that we take."""


class RangeNotSatisfiable(BadRequest):
    """Range begins behind the last byte of a representation of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("Range", f"begins behind the end; there are {size} bytes")
        self.size = size


class PayloadTooLarge(BadRequest):
    """A body, part or answer is larger than its limit."""


class TooSlow(BadRequest):
    """The body comes so slowly that it would keep others waiting."""


class TooBroad(BadRequest):
    """Too many records would have to be read to find those that match (PS3.18 10.6.3.1: 413)."""

    def __init__(self, field: str, most: int) -> None:
        super().__init__(
            field,
            f"is compared record by record, with {most} records at most; "
            "narrow the search by StudyDate, PatientID, PatientName or AccessionNumber",
        )


class NotFound(GatewayError):
    """All sites that may hold it answered, and none has it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Gone(NotFound):
    """No site has it now, but the study index has seen it."""


class NoSiteAnswered(GatewayError):
    """Nobody can say: silent sites stand in the way of an answer."""

    transient = True

    def __init__(self, silent: Mapping[str, str], retry_after_s: int = 10) -> None:
        super().__init__("no answer from " + ", ".join(silent) if silent else "no site configured")
        self.silent = dict(silent)
        self.retry_after_s = retry_after_s


class PatientsDiffer(GatewayError):
    """Sites hold different patients under one StudyInstanceUID: it is given by each site alone."""

    def __init__(self, study_uid: str, sites: Sequence[str]) -> None:
        super().__init__(f"study {study_uid} is of different patients at {', '.join(sites)}")
        self.study_uid = study_uid
        self.sites = tuple(sites)


class LinkRefused(GatewayError):
    """Two identifiers cannot be linked or separated so.

    why  "unknown": there is no such link; "state": the word does not fit how it stands;
         "contradiction": it would join two state numbers, or what a person has taken apart
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NoRoom(GatewayError):
    """The folder for what must wait on disk has no room left."""

    transient = True


class AuditUnavailable(GatewayError):
    """A line of the audit cannot be written: what it would tell of does not happen."""

    transient = True


class BadSignature(GatewayError):
    """An event is not signed with its site's key, or its time is not now. Never says which key."""


class ForeignPage(GatewayError):
    """A browser sends a form of a page that is not ours (trust.md H60)."""


class NotSignedIn(GatewayError):
    """Who asks has not said who it is, or not so that it can be believed. Never says why."""


class StaleForm(ForeignPage):
    """A form came back without the token of its page, or with one that has run out."""


class NotAllowed(GatewayError):
    """Who asks is known, and no role of theirs may do this anywhere."""


class OnlyToView(NotAllowed):
    """The study was granted to be looked at: its files are not given."""


class TooManyTries(GatewayError):
    """Too many passwords, codes or tests; the next one is taken after `wait_s`."""

    transient = True

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many tries")
        self.wait_s = wait_s


class OAuthRefused(GatewayError):
    """A program asks for a token and cannot have it.

    code  of RFC 6749 5.2: "invalid_client", "invalid_request", "unsupported_grant_type", ...
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AccountRefused(GatewayError):
    """What an administrator asks of an account or a client cannot be.

    why  "unknown": there is none; "login": the login is taken or no login; "posts": no role, or
         one that it cannot have; "ministry": a person of the ministry has no other role;
         "outside": another issuer vouches for the person, there is no password here
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class IssuerUnavailable(GatewayError):
    """The issuer that people and tokens come from does not answer, and what it said last is too
    old.
    """

    transient = True


class RecordsUnavailable(GatewayError):
    """The database cannot be reached, is locked for too long, or is full."""

    transient = True


class RecordsRefused(GatewayError):
    """The database refused a statement (a constraint, a missing table): trying again is no use."""


class NotRecordable(RecordsRefused):
    """A value is none that the database can hold or compare: a NUL, a number or a moment beyond
    its range. What is asked for cannot be there."""


class LeaseLost(GatewayError):
    """The lease is somebody else's by now: nothing was written."""


class RuleSetChanged(GatewayError):
    """The newest version of an owner's rules is `number`, not the one that was edited."""

    def __init__(self, owner: str, number: int) -> None:
        super().__init__(f"{owner}: version {number} is newer than the one that was edited")
        self.owner = owner
        self.number = number


class RegisterChanged(GatewayError):
    """The register of equipment is not what the author saw.

    thing_id  the facility or unit that somebody else changed; "" if it is the whole that was seen
    """

    def __init__(self, thing_id: str) -> None:
        super().__init__(f"{thing_id or 'the register'} was changed since it was read")
        self.thing_id = thing_id


class RuleSetRefused(GatewayError):
    """A version or an activation of rules cannot be used; `why` is a code for words.py."""

    def __init__(self, owner: str, number: int, why: str) -> None:
        super().__init__(f"{owner} {number}: {why}".strip())
        self.why = why


class Unreadable(GatewayError):
    """What a rule compares could not be read: nobody may guess whether the rule takes the study."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} cannot be read")
        self.field = field


class GatewayBusy(GatewayError):
    """A limit of what this process does at once is reached; soon it will be free."""

    transient = True


class QueueUnavailable(GatewayError):
    """Redis cannot be reached; nothing is lost, the bell just does not ring."""

    transient = True


class MailUnavailable(GatewayError):
    """The mail server does not answer, or not now. `code` is a short word."""

    transient = True

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"mail server: {code}" + (f" ({detail})" if detail else ""))
        self.code = code


class MailRefused(MailUnavailable):
    """The mail server takes the mail for nobody; a person must mend an address or a setting."""

    transient = False


class CollectorUnavailable(GatewayError):
    """The audit's collector does not take lines, or not now. `code` is a short word."""

    transient = True

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"audit collector: {code}" + (f" ({detail})" if detail else ""))
        self.code = code


class SiteError(GatewayError):
    """One site failed. `code` is the short word that callers and logs see."""

    transient = True
    code = "failed"

    def __init__(self, site_id: str, detail: str = "") -> None:
        super().__init__(f"{site_id}: {self.code}" + (f" ({detail})" if detail else ""))
        self.site_id = site_id
        self.detail = detail


class SiteUnreachable(SiteError):
    """Connection refused or reset, name not resolved, TLS handshake failed."""

    code = "unreachable"


class SiteTimeout(SiteError):
    """No complete answer within the deadline."""

    code = "timeout"

    def __init__(self, site_id: str, seconds: float) -> None:
        super().__init__(site_id, f"{seconds:.1f} s")
        self.seconds = seconds


class SiteBusy(SiteError):
    """All slots that we grant ourselves at this site are taken (bulkhead)."""

    code = "busy"


class SiteRefused(SiteError):
    """The site answered with an HTTP error status.

    stumbled  the same question may find it well again at once (trust.md F5)
    """

    code = "refused"

    def __init__(self, site_id: str, status: int, detail: str = "") -> None:
        super().__init__(site_id, f"HTTP {status}" + (f" {detail}" if detail else ""))
        self.status = status
        self.transient = status >= 500 or status in (408, 429)
        self.stumbled = status in (500, 502, 503, 504)


class SiteUntrusted(SiteError):
    """The site does not accept our credentials, or we do not accept its certificate."""

    code = "untrusted"
    transient = False


class SiteSpeaksGarbage(SiteError):
    """A 200 that is not DICOMweb: HTML, broken JSON, too large."""

    code = "garbage"


class SiteAnswersOther(SiteError):
    """It gave images or metadata of another study, series or instance than was asked for."""

    code = "other"
    transient = False


class SiteStreamCut(SiteError):
    """The body ended before its length, last chunk or closing boundary."""

    code = "cut"
