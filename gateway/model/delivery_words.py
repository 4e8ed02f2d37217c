"""Where studies and deliveries stand, why, and what to do: codes and their words. Pure."""

from gateway.model.deliveries import State
from gateway.model.wording import Words

STATES: dict[State, Words] = {
    State.PLANNED: Words("запланирована", "planned"),
    State.SENDING: Words("отправляется", "is being sent"),
    State.SENT: Words("отправлена, не проверена", "sent, not proven"),
    State.VERIFYING: Words("проверяется", "is being proven"),
    State.DELIVERED: Words("доставлена и проверена", "delivered, proven"),
    State.RETRY_WAIT: Words("повторится", "will be tried again"),
    State.BLOCKED: Words("получатель отказывает, ждём исправления", "blocked by its destination"),
    State.CONFLICT: Words("у получателя другое содержимое", "other content is there"),
    State.PARKED: Words("отложена, ждёт человека", "parked, waits for a person"),
    State.SOURCE_LOST: Words("нет в больнице", "lost at its hospital"),
    State.EXCLUDED: Words("исключена человеком", "excluded by a person"),
    State.SUPERSEDED: Words("заменена: пришли ещё снимки", "superseded by later images"),
}
"""Where a delivery stands."""

ARRIVED: dict[str, Words] = {
    "seen": Words("ещё принимается", "still arriving"),
    "planned": Words("отправляется по правилам", "sent by rules"),
    "held": Words("ждёт человека", "held for a person"),
    "dropped": Words("никуда не едет по правилу", "dropped by a rule"),
    "unruled": Words("нет действующих правил", "no active rules"),
    "exempt": Words("уже лежит там, куда едет", "lies at its destination"),
    "failed": Words("не удаётся решить, пробуем снова", "cannot be judged, tried again"),
    "gone": Words("в больнице больше нет", "gone from its hospital"),
}
"""What was decided of a study that arrived, by the state of its arrival (records/arrivals.py)."""

REASONS: dict[str, Words] = {
    "destination_full": Words(
        "у приёмника нет места; освободите или добавьте диск, отправка продолжится сама",
        "the destination is full; free or add disk, sending goes on by itself",
    ),
    "not_stored": Words(
        "приёмник принял, но не сохранил; проверьте его диск и журнал",
        "the destination said yes and kept nothing; look at its disk and log",
    ),
    "denied": Words(
        "приёмник не принял имя, пароль или сертификат; исправьте их в region.toml",
        "the destination does not accept name, password or certificate; mend them in region.toml",
    ),
    "unreachable": Words("приёмник не отвечает; попытки идут", "no connection; tried again"),
    "timeout": Words("приёмник отвечает слишком долго; попытки идут", "too slow; tried again"),
    "busy": Words("приёмник занят нашими же отправками", "our own slots there are taken"),
    "cut": Words("связь оборвалась; попытки идут", "the connection broke; tried again"),
    "garbage": Words(
        "по этому адресу отвечает не тот сервер; проверьте адрес и dicomweb_root",
        "another kind of server answers there; check url and dicomweb_root",
    ),
    "failed": Words(
        "приёмник сообщает об ошибке; попытки идут", "it reports an error; tried again"
    ),
    "refused": Words(
        "приёмник отказывается принимать; смотрите причины по снимкам",
        "the destination refuses; look at the reasons of the instances",
    ),
    "media_type": Words(
        "приёмник не принимает такие файлы (415)", "it does not take such files (415)"
    ),
    "sop_class": Words("приёмник не принимает этот вид снимков", "it does not take this SOP class"),
    "not_understood": Words("файл повреждён или не понят", "the file is broken or not understood"),
    "no_modality": Words(
        "Orthanc больницы не знает этого узла; впишите его в DicomModalities",
        "the hospital's Orthanc knows no such modality; add it to its DicomModalities",
    ),
    "conflict": Words(
        "под тем же UID у приёмника другое содержимое; нужно решение человека",
        "the destination holds other content under the same UID; a person must decide",
    ),
    "source_holds_two": Words(
        "источник хранит два разных файла под одним UID",
        "the source holds two different files under one UID",
    ),
    "source_gone": Words(
        "в больнице этих снимков больше нет", "the hospital has these instances no more"
    ),
    "source_changed": Words(
        "снимки изменились, пока их читали; будет новый план",
        "the instances changed while they were read; there will be a new plan",
    ),
    "source_silent": Words("больница не отвечает; попытки идут", "the hospital is silent"),
    "no_pseudonym_key": Words(
        "для обезличивания нужен pseudonym_key_file приёмника в region.toml",
        "to de-identify, the destination needs pseudonym_key_file in region.toml",
    ),
    "no_commitment": Words(
        "для COMMIT нужны modality у получателя и Orthanc в больнице; исправьте region.toml",
        "COMMIT needs a modality at the destination, and an Orthanc at the hospital",
    ),
    "no_edits_by_c_store": Words(
        "через C-STORE нельзя менять снимки на пути; выберите приёмник DICOMweb",
        "by C-STORE nothing can be changed on the way; use a DICOMweb destination",
    ),
    "burned_in": Words(
        "на снимке впечатано имя: обезличить нельзя", "names are burned in: not de-identified"
    ),
    "header_too_large": Words("заголовок слишком велик для правки", "too large to be edited"),
    "value_does_not_fit": Words(
        "новое значение не подходит этому полю", "the new value does not fit the attribute"
    ),
    "value_not_in_charset": Words(
        "кодировка снимка не знает букв нового значения",
        "the instance's character set lacks letters of the new value",
    ),
    "not_written": Words("снимок после правки не записать", "cannot be written after the edit"),
    "missing": Words("у приёмника не хватает снимков; досылаются", "instances are missing there"),
    "not_committed": Words(
        "архив не подтвердил хранение", "the archive did not commit to the storage"
    ),
    "cannot_verify": Words(
        "приёмник нельзя спросить по HTTP: для этой проверки добавьте url или site",
        "the destination cannot be asked over HTTP: this verification needs url or site",
    ),
    "lease_lost": Words("работу взял другой исполнитель", "another worker took it"),
    "worker_gone": Words(
        "исполнитель пропал посреди работы; другой продолжит", "the worker is gone; another goes on"
    ),
    "unheard": Words("ни один worker не взялся вовремя", "no worker took it in time"),
    "worker_killed": Words(
        "процесс погиб на этом исследовании (память?)", "a process died over this study (memory?)"
    ),
    "worker_crashed": Words("ошибка шлюза на этом исследовании", "a fault of the gateway over it"),
    "late_images": Words("пришли ещё снимки", "more images came"),
    "source_unknown": Words("больницы нет в region.toml", "the hospital is not in region.toml"),
    "destination_unknown": Words(
        "получателя нет в region.toml", "the destination is not in region.toml"
    ),
    "no_active_rules": Words(
        "у больницы нет действующих правил: gateway rules activate",
        "the hospital has no active rules: gateway rules activate",
    ),
    "archive_without_rules": Words(
        "лежит в архиве, у которого нет своих правил", "lies in an archive without rules of its own"
    ),
    "lies_at_its_destination": Words("уже там, куда едет", "is where it would be sent"),
    "site_timeout": Words("больница не отдаёт это исследование", "its hospital does not give it"),
    "site_refused": Words("больница не отдаёт это исследование", "its hospital does not give it"),
    "site_garbage": Words("больница отвечает не то", "its hospital answers something else"),
    "site_cut": Words("ответ больницы обрывается", "its hospital's answer breaks off"),
    "rules": Words(
        "правила записаны более новым шлюзом", "the rules were written by a newer gateway"
    ),
    "rerouted": Words("человек отправил к другому получателю", "a person sent it elsewhere"),
    "mail_password": Words(
        "почтовый сервер не принял имя или пароль (GATEWAY_SMTP_USER, …_PASSWORD_FILE)",
        "the mail server does not take user or password (GATEWAY_SMTP_USER, ..._PASSWORD_FILE)",
    ),
    "mail_certificate": Words(
        "сертификат почтового сервера не проверить (GATEWAY_SMTP_CA_FILE)",
        "the mail server's certificate cannot be verified (GATEWAY_SMTP_CA_FILE)",
    ),
    "mail_recipients": Words(
        "почтовый сервер не знает ни одного адреса списка", "the mail server knows no address of it"
    ),
    "mail_unsupported": Words(
        "почтовый сервер не умеет того, что задано в GATEWAY_SMTP_SECURITY",
        "the mail server cannot do what GATEWAY_SMTP_SECURITY says",
    ),
    "mail_answer": Words("почтовый сервер отказывает", "the mail server refuses"),
    "mail_silent": Words("почтовый сервер не отвечает", "the mail server does not answer"),
    "error": Words("ошибка шлюза на этом исследовании", "a fault of the gateway over it"),
}
"""What a person reads beside a delivery or an instance."""


def reason_in_words(code: str) -> Words:
    """What a code means; a person's own reason is said in his words. "code: detail" keeps both."""
    name, colon, detail = code.partition(": ")
    words = REASONS.get(name)
    if words is None:
        return Words(code, code)
    return Words(words.ru + colon + detail, words.en + colon + detail)
