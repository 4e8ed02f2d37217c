"""Who may do what: the one decision of every door (trust.md 1). Pure; deny by default.

An actor has duties: a role, and the sites or studies that it counts for. MAY says what a role may
do, the duty says where. Outside of all its duties a thing does not exist for the actor.
Who the actor is, and that a grant or link has not run out, is found out before (web/identity.py).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Kinds of duty. The last three are no roles of accounts: how they come about is written."""

    DOCTOR = "doctor"
    HOSPITAL_IT = "hospital_it"
    REGIONAL_ADMIN = "regional_admin"
    MINISTRY = "ministry"
    AUDITOR = "auditor"
    SERVICE = "service"  # a machine, by its own credentials
    PATIENT = "patient"  # a patient's link: one study
    EXPERT = "expert"  # a grant: one study, for some days
    OPERATOR = "operator"  # whoever sits at this machine, while there are no logins


class Action(StrEnum):
    """What a route does; each route names one (web/permissions.py)."""

    OPEN = "open"  # for everyone: sign-in, life signs, what signs itself
    OWN_ACCOUNT = "own_account"
    OWN_PROOF = "own_proof"  # the own authenticator and recovery codes
    SEE_STATUS = "see_status"
    VIEW = "view"  # the viewer's pages; images are searched for and retrieved all the same
    SEARCH = "search"
    RETRIEVE = "retrieve"
    STORE = "store"
    SHARE = "share"  # see and revoke patients' links and experts' grants
    GIVE_ACCESS = "give_access"  # make them
    BREAK_GLASS = "break_glass"  # open a study of another hospital in an emergency
    LINK_PERSONS = "link_persons"
    READ_RULES = "read_rules"
    WRITE_RULES = "write_rules"  # versions that do not count yet
    ACTIVATE_RULES = "activate_rules"
    APPROVE_RULES = "approve_rules"
    DROP_STUDIES = "drop_studies"  # by rules that count; a person excludes one by RESEND
    READ_DELIVERIES = "read_deliveries"
    RESEND = "resend"
    READ_FIGURES = "read_figures"  # aggregates only
    READ_REGISTER = "read_register"  # facilities and their units, by name; no study of theirs
    WRITE_REGISTER = "write_register"
    READ_AUDIT = "read_audit"
    MANAGE_ACCOUNTS = "manage_accounts"
    OPERATE = "operate"  # what the gateway itself stands on: versions


class Purpose(StrEnum):
    """Purposes of use that doctors and services name (codes of HL7 v3 PurposeOfUse)."""

    TREATMENT = "TREAT"
    EMERGENCY = "ETREAT"
    PUBLIC_HEALTH = "PUBHLTH"
    OPERATIONS = "HOPERAT"
    PATIENT_REQUEST = "PATRQT"


CARE = frozenset({Purpose.TREATMENT, Purpose.EMERGENCY})
"""Purposes for which a doctor may read beyond the own hospital, where the region allows that."""
IMAGES = frozenset({Action.SEARCH, Action.RETRIEVE, Action.STORE})
READING = frozenset({Action.SEARCH, Action.RETRIEVE, Action.VIEW})

OF_ACCOUNTS = frozenset({Action.OWN_ACCOUNT, Action.OWN_PROOF, Action.BREAK_GLASS})
"""What nobody does without an account."""

MAY: Mapping[Role, frozenset[Action]] = {
    Role.DOCTOR: READING
    | {
        Action.OWN_ACCOUNT,
        Action.OWN_PROOF,
        Action.SEE_STATUS,
        Action.STORE,
        Action.SHARE,
        Action.GIVE_ACCESS,
        Action.BREAK_GLASS,
    },
    Role.HOSPITAL_IT: frozenset(
        {
            Action.OWN_ACCOUNT,
            Action.OWN_PROOF,
            Action.SEE_STATUS,
            Action.READ_RULES,
            Action.WRITE_RULES,
            Action.ACTIVATE_RULES,
            Action.READ_DELIVERIES,
            Action.RESEND,
            Action.READ_REGISTER,
            Action.WRITE_REGISTER,
        }
    ),
    Role.REGIONAL_ADMIN: frozenset(
        {
            Action.OWN_ACCOUNT,
            Action.OWN_PROOF,
            Action.SEE_STATUS,
            Action.LINK_PERSONS,
            Action.READ_RULES,
            Action.WRITE_RULES,
            Action.ACTIVATE_RULES,
            Action.APPROVE_RULES,
            Action.DROP_STUDIES,
            Action.READ_DELIVERIES,
            Action.RESEND,
            Action.READ_FIGURES,
            Action.READ_REGISTER,
            Action.WRITE_REGISTER,
            Action.MANAGE_ACCOUNTS,
            Action.OPERATE,
        }
    ),
    Role.MINISTRY: frozenset(
        {
            Action.OWN_ACCOUNT,
            Action.OWN_PROOF,
            Action.READ_FIGURES,
            Action.READ_REGISTER,
            Action.WRITE_REGISTER,
        }
    ),
    Role.AUDITOR: frozenset(
        {Action.OWN_ACCOUNT, Action.OWN_PROOF, Action.SEE_STATUS, Action.READ_AUDIT}
    ),
    Role.SERVICE: IMAGES,
    Role.PATIENT: READING,
    Role.EXPERT: READING,
    Role.OPERATOR: frozenset(Action) - OF_ACCOUNTS,
}
STEP_UP = frozenset(
    {
        Action.OWN_PROOF,
        Action.GIVE_ACCESS,
        Action.ACTIVATE_RULES,
        Action.APPROVE_RULES,
        Action.DROP_STUDIES,
        Action.MANAGE_ACCOUNTS,
        Action.OPERATE,
    }
)
"""What a form of a session does only if the person has proven who it is within STEP_UP_S: a browser
left open must not open images to others, nor change where they go (web/step_up.py).
"""
ACCOUNT_ROLES = tuple(r for r in Role if Action.OWN_ACCOUNT in MAY[r])


@dataclass(frozen=True)
class Reach:
    """Where a duty counts: at these sites, for these studies; None means all of them."""

    sites: frozenset[str] | None = None
    studies: frozenset[str] | None = None

    def covers(self, thing: "Thing") -> bool:
        """Whether the thing may lie within; what is not known of it is judged later, by rows."""
        if self.sites is not None and thing.sites is not None and not self.sites & thing.sites:
            return False
        return self.studies is None or thing.study_uid is None or thing.study_uid in self.studies


@dataclass(frozen=True)
class Thing:
    """What is asked for.

    sites      where it is: the site of a path, the owner of rules, the holders of a study; None:
               not known, or the whole region
    study_uid  None: no study is named
    """

    sites: frozenset[str] | None = None
    study_uid: str | None = None


EVERYTHING = Thing()


def at(site_id: str | None, study_uid: str | None = None) -> Thing:
    """The thing that a path names."""
    return Thing(None if site_id is None else frozenset({site_id}), study_uid)


@dataclass(frozen=True)
class Duty:
    """A role and where it counts.

    wide  for a doctor: reading for a patient's care reaches the region (the region's policy)
    """

    role: Role
    reach: Reach
    wide: bool = False


@dataclass(frozen=True)
class Actor:
    """Who asks. `subject` is an id of ours, for the audit: never a name.

    kind  how it was recognised: "open", "session", "token", "link" or "" for nobody
    only  what its credentials are good for, of all that its duties allow; None: for all of it
    files  studies whose files a grant gives, beside what the viewer shows
    """

    subject: str
    duties: tuple[Duty, ...] = ()
    purpose: Purpose | None = None
    kind: str = ""
    only: frozenset[Action] | None = None
    files: frozenset[str] = frozenset()


NOBODY = Actor("")
LOCAL_OPERATOR = Actor("local", (Duty(Role.OPERATOR, Reach()),), kind="open")


@dataclass(frozen=True)
class Scope:
    """What a decision lets through: the union of its reaches. Nothing if there is none."""

    reaches: tuple[Reach, ...] = ()

    @property
    def sites(self) -> frozenset[str] | None:
        """Sites that may be asked at all; None: all."""
        return _union(reach.sites for reach in self.reaches)

    @property
    def studies(self) -> frozenset[str] | None:
        """Studies that a question must be narrowed to; None: not by study."""
        return _union(reach.studies for reach in self.reaches)

    def for_search(self, named: frozenset[str] | None) -> "Scope":
        """The part of it that one search can be answered from: a set of sites, or of studies.

        named  the studies that the search names; None: it names none
        A single study that was granted is found when it is named; a list of what the actor's
        hospitals hold does not go to other hospitals for it.
        """
        if named:
            granted = [r for r in self.reaches if r.studies is not None and named <= r.studies]
            if granted:
                return Scope(tuple(granted))
        listed = tuple(reach for reach in self.reaches if reach.studies is None)
        return Scope(listed) if listed else self

    def shows(self, study_uid: str) -> bool:
        """Whether a row of this study may be seen, of whatever site of the scope it came from."""
        return any(reach.studies is None or study_uid in reach.studies for reach in self.reaches)


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found: set[str] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return frozenset(found)


ROLES_OF_A_SITE = frozenset({Role.DOCTOR, Role.HOSPITAL_IT, Role.SERVICE})


@dataclass(frozen=True, order=True)
class Post:
    """A role as an account or a client is given it: at one site, or in the whole region ("*")."""

    role: Role
    site_id: str = "*"

    def __str__(self) -> str:
        return f"{self.role}@{self.site_id}" if self.role in ROLES_OF_A_SITE else str(self.role)


def parse_post(text: str) -> Post:
    """`doctor@north`, `auditor`, `service@*`.

    raises  ValueError with what to write instead
    """
    name, mark, site_id = text.partition("@")
    try:
        role = Role(name)
    except ValueError:
        known = ", ".join([*ACCOUNT_ROLES, Role.SERVICE])
        raise ValueError(f"{name}: no such role; one of {known}") from None
    if role not in ACCOUNT_ROLES and role is not Role.SERVICE:
        raise ValueError(f"{name}: nobody is given this role by hand")
    if (role in ROLES_OF_A_SITE) is not bool(mark) or (mark and not site_id):
        raise ValueError(f"{name}: write " + (f"{name}@SITE" if not mark else name))
    if site_id == "*" and role is not Role.SERVICE:
        raise ValueError(f"{name}: is of one hospital; write {name}@SITE")
    return Post(role, site_id or "*")


def duties_of(posts: Iterable[Post], *, wide: bool) -> tuple[Duty, ...]:
    """What somebody with these posts may do; of one role at several sites one duty is made.

    wide  doctors read the region for a patient's care
    """
    sites: dict[Role, frozenset[str] | None] = {}
    for post in posts:
        before = sites.get(post.role, frozenset())
        all_sites = before is None or post.site_id == "*"
        sites[post.role] = None if all_sites else (before or frozenset()) | {post.site_id}
    return tuple(
        Duty(role, Reach(where), wide and role is Role.DOCTOR) for role, where in sites.items()
    )


class Reason(StrEnum):
    """Why a decision fell so; for the audit, never for the caller."""

    OPEN = "open"
    DUTY = "duty"
    NOBODY = "nobody"  # who asks has not said who it is
    ROLE = "role"  # no role of the actor may do this anywhere
    OUTSIDE = "outside"  # the thing lies outside: for this actor it does not exist


@dataclass(frozen=True)
class Decision:
    """The answer; `roles` are those by which it was allowed."""

    allowed: bool
    reason: Reason
    scope: Scope = Scope()
    roles: tuple[Role, ...] = ()


ALL_OPEN = Decision(True, Reason.OPEN)


def allow(actor: Actor, action: Action, thing: Thing = EVERYTHING) -> Decision:
    """Whether this actor may do this to this thing, and within which scope.

    A person of the ministry is nothing else: any other duty beside that one does not count.
    """
    if action is Action.OPEN:
        return ALL_OPEN
    if not actor.duties:
        return Decision(False, Reason.NOBODY)
    duties = [d for d in actor.duties if d.role is Role.MINISTRY] or actor.duties
    usable = actor.only is None or action in actor.only
    having = [duty for duty in duties if usable and action in MAY[duty.role]]
    if not having:
        return Decision(False, Reason.ROLE)
    covering = [
        (duty.role, reach)
        for duty in having
        for reach in [_reach(duty, action, actor.purpose)]
        if reach.covers(thing)
    ]
    if not covering:
        return Decision(False, Reason.OUTSIDE)
    roles = tuple(dict.fromkeys(role for role, _ in covering))
    reaches = tuple(dict.fromkeys(reach for _, reach in covering))
    return Decision(True, Reason.DUTY, Scope(reaches), roles)


def sees_by_grant(decision: Decision, study_uid: str, holders: Collection[str]) -> bool:
    """Whether a grant alone shows this study: no duty at a site that holds it does."""
    at_home = any(
        reach.studies is None and (reach.sites is None or not reach.sites.isdisjoint(holders))
        for reach in decision.scope.reaches
    )
    return Role.EXPERT in decision.roles and not at_home and decision.scope.shows(study_uid)


def _reach(duty: Duty, action: Action, purpose: Purpose | None) -> Reach:
    if duty.wide and duty.role is Role.DOCTOR and action in READING and purpose in CARE:
        return Reach()
    return duty.reach


def describe_table() -> str:
    """MAY as a table of Markdown, for README."""
    roles = [role for role in Role if role is not Role.OPERATOR]
    lines = ["| | " + " | ".join(f"`{role}`" for role in roles) + " |"]
    lines.append("|---" * (len(roles) + 1) + "|")
    for action in Action:
        if action is not Action.OPEN:
            marks = ("●" if action in MAY[role] else "" for role in roles)
            lines.append(f"| `{action}` | " + " | ".join(marks) + " |")
    return "\n".join(lines)
