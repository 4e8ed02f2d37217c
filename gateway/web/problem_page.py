"""What went wrong, as a page for a person: what happened and what to do next. Programs are told the
same by problem details (web/errors.py, which alone chooses the status).
"""

from flask import Response, current_app, g, render_template, request
from werkzeug import exceptions as http

from gateway.errors import (
    AuditUnavailable,
    BadRequest,
    ForeignPage,
    GatewayBusy,
    Gone,
    IssuerUnavailable,
    NoRoom,
    NoSiteAnswered,
    NotAcceptable,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OnlyToView,
    PatientsDiffer,
    PayloadTooLarge,
    RecordsUnavailable,
    SiteError,
    StaleForm,
    TooBroad,
    TooManyTries,
    TooSlow,
)
from gateway.model.wording import Words

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PROGRAMS = ("/dicom-web", "/sites/", "/wado", "/api/", "/oauth/token", "/oauth/revoke", "/events")
"""Addresses whose answers are read by programs, whatever these accept."""

WORDS: tuple[tuple[tuple[type[Exception], ...], Words, Words], ...] = (
    (
        (Gone,),
        Words("Исследование удалено", "The study was deleted"),
        Words(
            "Шлюз его видел, но теперь его нет ни в одной больнице. Спросите больницу, где его "
            "сделали.",
            "It was there, and no hospital has it now. Ask the hospital that made it.",
        ),
    ),
    (
        (NotFound, http.NotFound),
        Words("Здесь ничего нет", "There is nothing here"),
        Words(
            "Такой страницы или такого исследования нет, или вам его не показывали. Проверьте "
            "адрес; исследование другой больницы показывает её врач.",
            "There is no such page or study, or it was not shown to you. Check the address; a "
            "study of another hospital is shown by its doctor.",
        ),
    ),
    (
        (OnlyToView,),
        Words("Только для просмотра", "Only to view"),
        Words(
            "Исследование показано вам без файлов. Если нужны файлы, попросите врача, который дал "
            "доступ.",
            "This study was granted to be viewed, without its files. If you need them, ask the "
            "doctor who granted it.",
        ),
    ),
    (
        (StaleForm,),
        Words("Страница устарела", "The page was too old"),
        Words(
            "Ничего не сделано. Вернитесь, обновите страницу и отправьте ещё раз; браузер должен "
            "хранить её cookie.",
            "Nothing was done. Go back, load the page again and send it once more; the browser "
            "must keep its cookies.",
        ),
    ),
    (
        (ForeignPage,),
        Words("Форма пришла не со страницы шлюза", "The form was sent by another page"),
        Words(
            "Ничего не сделано. Откройте страницу по собственному адресу шлюза и повторите.",
            "Nothing was done. Open the page at the gateway's own address, and repeat.",
        ),
    ),
    (
        (NotSignedIn,),
        Words("Вход закончился", "You are signed out"),
        Words(
            "Ничего не сделано. Войдите и повторите.", "Nothing was done. Sign in and repeat it."
        ),
    ),
    (
        (NotAllowed,),
        Words("Вам это не разрешено", "You may not do this"),
        Words(
            "Ваша роль этого не даёт. Роли даёт администратор региона; на вашей странице видно, "
            "что вам доступно.",
            "No role of yours includes it. Roles are given by the regional administrator; your "
            "own page shows what is open to you.",
        ),
    ),
    (
        (TooManyTries,),
        Words("Слишком часто", "Too often"),
        Words(
            "Подождите и повторите: столько запросов подряд не принимается ни от кого.",
            "Wait and try again: so many requests in a row are taken from nobody.",
        ),
    ),
    (
        (TooBroad,),
        Words("Слишком широкий поиск", "Too broad a search"),
        Words(
            "Добавьте дату, номер или имя пациента либо номер направления.",
            "Add a date, the patient's number or name, or an accession number.",
        ),
    ),
    (
        (PayloadTooLarge, http.RequestEntityTooLarge),
        Words("Слишком много сразу", "Too much at once"),
        Words("Ничего не сохранено. Отправьте частями.", "Nothing was stored. Send it in parts."),
    ),
    (
        (TooSlow, http.RequestTimeout),
        Words("Слишком медленно", "Too slow"),
        Words(
            "Связь почти остановилась, поэтому запрос прерван. Проверьте связь и повторите.",
            "The line all but stood still, so the request was ended. Check it and try again.",
        ),
    ),
    (
        (NotAcceptable, http.NotAcceptable),
        Words("В таком виде этого нет", "There is no such form of it"),
        Words("Откройте исследование в просмотрщике.", "Open the study in the viewer."),
    ),
    (
        (http.MethodNotAllowed,),
        Words("Эту страницу так не открывают", "This page is not opened so"),
        Words(
            "По этому адресу принимается только форма. Вернитесь к странице, с которой пришли.",
            "This address takes a form alone. Go back to the page that you came from.",
        ),
    ),
    (
        (PatientsDiffer,),
        Words("Под одним номером разные пациенты", "Different patients under one number"),
        Words(
            "Больницы хранят под этим UID снимки разных людей, поэтому вместе их не показывают. "
            "Скажите администратору региона: тревога о них уже стоит.",
            "Hospitals hold different people's images under this UID, so they are not shown "
            "together. Tell the regional administrator, who has an alarm about them.",
        ),
    ),
    (
        (NoSiteAnswered, SiteError),
        Words("Больница не отвечает", "The hospital does not answer"),
        Words(
            "Снимки целы: они лежат в больнице, но её сервер сейчас молчит. Повторите чуть позже.",
            "The images are safe at the hospital, but its server is silent now. Try again a "
            "little later.",
        ),
    ),
    (
        (RecordsUnavailable,),
        Words("База данных не отвечает", "The database is away"),
        Words(
            "Ничего не потеряно. Повторите через минуту; если не поможет, позвоните "
            "администратору региона.",
            "Nothing is lost. Try again in a minute; if that does not help, call the regional "
            "administrator.",
        ),
    ),
    (
        (AuditUnavailable,),
        Words("Аудит не пишется", "The audit cannot be written"),
        Words(
            "Пока нельзя записать, кто что открыл, шлюз ничего не показывает. Позвоните "
            "администратору региона.",
            "While it cannot be written down who opens what, nothing is shown. Call the regional "
            "administrator.",
        ),
    ),
    (
        (IssuerUnavailable,),
        Words("Служба входа не отвечает", "The sign-in service is away"),
        Words(
            "Кто вошёл, работает дальше. Войти можно позже или учётной записью шлюза.",
            "Who has signed in goes on. Sign in later, or with an account of the gateway.",
        ),
    ),
    (
        (GatewayBusy,),
        Words("Шлюз занят", "The gateway is busy"),
        Words(
            "Сейчас слишком много работы сразу. Повторите через несколько секунд.",
            "There is too much to do at once. Try again in some seconds.",
        ),
    ),
    (
        (NoRoom,),
        Words("На диске шлюза нет места", "The gateway's disk is full"),
        Words(
            "Позвоните администратору региона: место нужно освободить.",
            "Call the regional administrator: room has to be made.",
        ),
    ),
    (
        (BadRequest, http.HTTPException),
        Words("Запрос не понят", "The request is not understood"),
        Words(
            "Ничего не сделано. Проверьте адрес или вернитесь и исправьте то, что введено.",
            "Nothing was done. Check the address, or go back and mend what was typed.",
        ),
    ),
    (
        (Exception,),
        Words("Не получилось", "It did not work"),
        Words(
            "Это ошибка шлюза, а не ваша. Повторите; если опять — назовите администратору региона "
            "номер внизу.",
            "This is a fault of the gateway, not yours. Try again; if it comes back, tell the "
            "regional administrator the number below.",
        ),
    ),
)
FOREIGN_HOST = (
    Words("У шлюза другой адрес", "The gateway has another address"),
    Words(
        "По этому имени он не отвечает. Откройте его собственный адрес:",
        "It does not answer to this name. Open its own address:",
    ),
)


def is_for_a_person() -> bool:
    """Whether a browser shows the answer of the request at hand as a page."""
    if "text/html" not in request.headers.get("Accept", "") or "home" not in current_app.blueprints:
        return False
    navigates = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return navigates or not request.path.startswith(PROGRAMS)


def page_of(plain: Response, error: Exception, address: str = "") -> Response:
    """The page of an answer to a program, with its status and what it says on waiting.

    address  the gateway's own
    """
    words = next((title, advice) for kinds, title, advice in WORDS if isinstance(error, kinds))
    wrong = error if isinstance(error, BadRequest) else None
    is_foreign = wrong is not None and wrong.field == "Host"
    wait = plain.headers.get("Retry-After", "")
    page = render_template(
        "problem.html", words=FOREIGN_HOST if is_foreign else words, wrong=wrong,
        address=address if is_foreign else "", wait=wait, sites=_named(error),
        again=request.full_path.rstrip("?") if request.method == "GET" and wait else "",
        way=way_out(error), number=g.get("request_id", ""),
    )  # fmt: skip
    answer = Response(page, plain.status_code)
    for name in ("Retry-After", "Allow", "WWW-Authenticate", "Content-Range"):
        if name in plain.headers:
            answer.headers[name] = plain.headers[name]
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _named(error: Exception) -> list[str]:
    """Ids of the sites that the error is about."""
    if isinstance(error, NoSiteAnswered):
        return list(error.silent)
    if isinstance(error, PatientsDiffer):
        return list(error.sites)
    return [error.site_id] if isinstance(error, SiteError) else []


def way_out(error: Exception | None = None) -> tuple[str, str, str]:
    """(address, in Russian, in English) of a page that is open to whoever asks."""
    views = current_app.view_functions
    if "account.account" not in views:
        return "/", "На первую страницу", "To the first page"
    if any(name.endswith("gateway-link") for name in request.cookies):
        return "/open/study", "К моим снимкам", "To my images"
    if isinstance(error, NotSignedIn):
        return "/login", "Войти", "Sign in"
    return "/account", "На мою страницу", "To my page"
