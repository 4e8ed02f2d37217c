"""What each figure of the report means and where it comes from, for its last page and sheet."""

from gateway.model.wording import Words

DEFINITIONS: tuple[tuple[Words, Words], ...] = (
    (
        Words("Заявлено цифровыми", "Declared digital"),
        Words(
            "Рентгеновские аппараты, которые по реестру цифровые или плёночные с оцифровщиком, из "
            "всех, что работают, в ремонте или простаивают. Источник: реестр аппаратов.",
            "X-ray units that the register has as digital or as film with a digitiser, of all that "
            "are in use, in repair or idle. Source: the register of units.",
        ),
    ),
    (
        Words("Подтверждено снимками", "Proven by images"),
        Words(
            "Аппараты, от которых за последние 30 дней до шлюза дошло хотя бы одно исследование, "
            "из тех же аппаратов. Источник: снимки, прошедшие через шлюз.",
            "Units of which at least one study reached the gateway in the last 30 days, of the "
            "same units. Source: the images that passed the gateway.",
        ),
    ),
    (
        Words("Молчит", "Silent"),
        Words(
            "Заявлен цифровым, снимки были, но не за последние 30 дней.",
            "Declared digital, has sent images, but none in the last 30 days.",
        ),
    ),
    (
        Words("Снимков не было", "Never seen"),
        Words("Заявлен цифровым, ни одного снимка.", "Declared digital, not one image."),
    ),
    (
        Words("Не заявлен", "Undeclared"),
        Words(
            "Заявлен плёночным, а снимки за последние 30 дней есть.",
            "Declared film, yet it sent images in the last 30 days.",
        ),
    ),
    (
        Words("Неизвестный отправитель", "Unknown sender"),
        Words(
            "Снимки подписаны аппаратом, которого нет в реестре.",
            "Images are signed by a machine that the register does not have.",
        ),
    ),
    (
        Words("Исследования", "Studies"),
        Words(
            "Пришли за 30 дней; округлены до пяти, меньше пяти — «<5». Виды съёмки — по региону.",
            "Arrived in 30 days; to the nearest five, fewer than five as “<5”. Modalities are of "
            "the region.",
        ),
    ),
    (
        Words("За две минуты", "Within two minutes"),
        Words(
            "Доля исследований, у которых от съёмки до события прошло не больше двух минут.",
            "Share of the studies that took two minutes at most from acquisition to the event.",
        ),
    ),
    (
        Words("100 % по темпу", "100% by the pace"),
        Words(
            "Прямая наименьших квадратов через доли на концы месяцев; границы — 95 %.",
            "Line of least squares through the shares at month ends; its band is that of 95%.",
        ),
    ),
    (
        Words("100 % по плану", "100% by the plan"),
        Words(
            "День последней запланированной замены; пусто, пока план есть не у всех.",
            "Day of the last planned renewal; empty while some units have no plan.",
        ),
    ),
    (
        Words("Экономия в год", "Saved a year"),
        Words(
            "Обновлённые аппараты, умноженные на экономию одного: от и до (настройки шлюза).",
            "Renewed units times what one saves: from and to (settings of the gateway).",
        ),
    ),
    (
        Words("Проценты", "Percent"),
        Words(
            "Целые, половина округляется вверх; где аппаратов нет, процента нет.",
            "Whole, a half is rounded up; where there are no units, there is no percentage.",
        ),
    ),
)
