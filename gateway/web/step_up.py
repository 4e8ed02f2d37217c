"""Before what a browser left open must not do, a person proves anew who they are (trust.md 1 b).

The page that asks brings the sent form again, so that nothing is typed twice; the proof stands
beside it and is judged before any door is reached. Whoever another issuer vouches for goes there
once more (`prompt=login`), and sends the form again after it.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Response, request
from wtforms import HiddenField, PasswordField, StringField

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import TooManyTries
from gateway.log import log
from gateway.model.credentials import is_password
from gateway.records import accounts, sessions
from gateway.records.keyring import Keyring
from gateway.web.auditing import Auditor
from gateway.web.form_tokens import check_token
from gateway.web.forms import SentForm
from gateway.web.identity import Identity, address_of_caller
from gateway.web.second_factor import take_code
from gateway.web.sign_in import Passwords, back_of, show, too_many

FORM_LIMIT = 64 * 1024
OURS = frozenset({"csrf_token", "proof_password", "proof_code"})


class ProofForm(SentForm):
    proof_password = PasswordField()
    proof_code = StringField()
    purpose = HiddenField()
    back = HiddenField()


@dataclass(frozen=True)
class StepUp:
    """Called for each form of a session whose action is in STEP_UP; one for each process."""

    gateway: Gateway
    identity: Identity
    keyring: Keyring
    auditor: Auditor
    passwords: Passwords

    def __call__(self) -> Response | None:
        """None: go on. Otherwise the page that asks.

        raises  NotSignedIn for a session that has ended; StaleForm
        """
        mine, now = self.identity.session(), utc_now()
        if (now - mine.proved_at).total_seconds() <= self.gateway.settings.step_up_s:
            return None
        request.max_content_length = FORM_LIMIT
        form = ProofForm()
        if mine.is_outside or "proof_password" not in request.form:
            return self._ask(mine, form)
        check_token()
        try:
            right = self._is_person(mine, form)
        except TooManyTries as error:
            return too_many("", form, error, page="step_up", **self._facts(mine))
        self.auditor.told("step_up", "done" if right else "refused", mine.account_id)
        if not right:
            return self._ask(mine, form, "wrong")
        sessions.save_proved(self.gateway.records, mine, now)
        log.info("proven anew", account=mine.account_id)
        return None

    def _is_person(self, mine: sessions.Session, form: ProofForm) -> bool:
        """raises TooManyTries"""
        records, now, address = self.gateway.records, utc_now(), address_of_caller()
        login = accounts.load_login(records, mine.account_id)
        proof = accounts.load_proof(records, login)
        if proof is None or not proof.password_hash or proof.locked:
            return False
        accounts.begin_try(records, login, address, True, now)
        password, code = form.proof_password.data or "", form.proof_code.data or ""
        if not self.passwords.run(is_password, proof.password_hash, password):
            return False
        if proof.totp_sealed and not take_code(records, self.keyring, proof, code, now):
            return False
        accounts.end_try(records, login, address)
        return True

    def _ask(self, mine: sessions.Session, form: ProofForm, problem: str = "") -> Response:
        return show("", form, problem, 403, page="step_up", **self._facts(mine))

    def _facts(self, mine: sessions.Session) -> dict[str, object]:
        said = urlsplit(request.referrer or "").path
        return {
            "is_outside": mine.is_outside,
            "path": request.full_path.removesuffix("?"),
            "sent": [one for one in request.form.items(multi=True) if one[0] not in OURS],
            "back": back_of(said) or "/account",
            "session_purpose": str(mine.purpose),
        }
