//! The words by which a code is known, language by language: data for [`super::score`].
//!
//! An entry matches whole words, whatever their case and accents. `*` at an end lets the word go on there
//! (`*kod*` is in `Verifizierungskode` and in `kodunuz`); `=` before it asks for exactly these capitals.

use std::sync::LazyLock;

use regex::Regex;

use super::normalise::normalise;

/// Phrases of one meaning, by language.
type Table = &'static [(&'static str, &'static [&'static str])];

/// Every place where a phrase of one meaning occurs, in order.
pub(super) struct Places(Vec<(usize, usize)>);

impl Places {
    /// Whether one lies within `start..end`.
    pub(super) fn within(&self, start: usize, end: usize) -> bool {
        self.first_within(start, end).is_some()
    }

    /// The first one within `start..end`.
    pub(super) fn first_within(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let from = self.0.partition_point(|place| place.0 < start);
        self.0.get(from).copied().filter(|place| place.1 <= end)
    }

    /// The last one within `start..end`.
    pub(super) fn last_within(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let until = self.0.partition_point(|place| place.1 <= end);
        let place = self.0.get(until.checked_sub(1)?).copied()?;
        (place.0 >= start).then_some(place)
    }

    /// Whether there is one at all.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Where the phrases of each meaning occur in one normalised text.
pub(super) struct Phrases {
    /// What names nothing but a one-time code.
    pub(super) strong: Places,
    /// What may name a one-time code: code, password, PIN.
    pub(super) word: Places,
    /// What a one-time code is for: verification, sign-in.
    pub(super) purpose: Places,
    /// What tells the reader to type it: enter, use.
    pub(super) enter: Places,
    /// What names another number: order, reference, card, telephone.
    pub(super) other: Places,
    /// A code that is none of ours: postcode, voucher code, error code.
    pub(super) other_code: Places,
    /// What advertises: discount, offer.
    pub(super) promo: Places,
    /// What a person writes who wants a code that is not theirs.
    pub(super) lure: Places,
    /// Codes that last: backup, recovery.
    pub(super) backup: Places,
}

impl Phrases {
    /// Finds the phrases in a normalised text, in one pass for each meaning.
    pub(super) fn find(text: &str) -> Self {
        Self {
            strong: places(&STRONG_REGEX, text),
            word: places(&WORD_REGEX, text),
            purpose: places(&PURPOSE_REGEX, text),
            enter: places(&ENTER_REGEX, text),
            other: places(&OTHER_REGEX, text),
            other_code: places(&OTHER_CODE_REGEX, text),
            promo: places(&PROMO_REGEX, text),
            lure: places(&LURE_REGEX, text),
            backup: places(&BACKUP_REGEX, text),
        }
    }
}

/// Whether `text`, which stands before a code, ends in a verb like `is`.
pub(super) fn ends_in_is(text: &str) -> bool {
    ENDS_IN_IS.is_match(text)
}

/// Whether `text`, which stands after a candidate, begins with a verb like `is`.
pub(super) fn begins_with_is(text: &str) -> bool {
    BEGINS_WITH_IS.is_match(text)
}

/// Whether `text`, which stands after a code, begins with a phrase like `is your`.
pub(super) fn begins_with_is_your(text: &str) -> bool {
    BEGINS_WITH_IS_YOUR.is_match(text)
}

fn places(regex: &Regex, text: &str) -> Places {
    Places(regex.find_iter(text).map(|found| (found.start(), found.end())).collect())
}

/// One phrase as a regular expression; a phrase in a script without spaces has no word boundaries.
fn pattern(phrase: &str) -> String {
    let (phrase, flag) = phrase.strip_prefix('=').map_or((phrase, "i"), |phrase| (phrase, "-i"));
    let text = normalise(phrase.trim_matches('*'));
    let before = if phrase.starts_with('*') { r"[\p{L}\p{M}]*" } else { boundary(text.chars().next()) };
    let after = if phrase.ends_with('*') { r"[\p{L}\p{M}]*" } else { boundary(text.chars().next_back()) };
    let text = regex::escape(&text).replace(' ', r"[\s-]+");
    format!("(?{flag}:{before}{text}{after})")
}

/// What parts a word that begins or ends with this character from its neighbours.
///
/// A Latin word may stand in a Japanese sentence without a space, so that its boundaries are ASCII.
fn boundary(edge: Option<char>) -> &'static str {
    match edge {
        Some(c) if c.is_ascii_alphanumeric() => r"(?-u:\b)",
        Some(c) if c.is_alphanumeric() && u32::from(c) < 0x530 => r"\b",
        _ => "",
    }
}

#[expect(clippy::expect_used, reason = "the tables are constant, and every test compiles them")]
fn compile(table: Table, around: impl Fn(String) -> String) -> Regex {
    let mut phrases: Vec<&str> = table.iter().flat_map(|(_, phrases)| phrases.iter().copied()).collect();
    // The first alternative wins, so that the longest stands first.
    phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    let patterns: Vec<String> = phrases.into_iter().map(pattern).collect();
    Regex::new(&around(patterns.join("|"))).expect("the phrases make a regular expression")
}

fn anywhere(table: Table) -> Regex {
    compile(table, |patterns| patterns)
}

static STRONG_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(STRONG));
static WORD_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(WORD));
static PURPOSE_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(PURPOSE));
static ENTER_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(ENTER));
static OTHER_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(OTHER));
static OTHER_CODE_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(OTHER_CODE));
static PROMO_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(PROMO));
static LURE_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(LURE));
static BACKUP_REGEX: LazyLock<Regex> = LazyLock::new(|| anywhere(BACKUP));
static ENDS_IN_IS: LazyLock<Regex> = LazyLock::new(|| compile(IS, |patterns| format!("(?:{patterns})$")));
static BEGINS_WITH_IS: LazyLock<Regex> = LazyLock::new(|| compile(IS, |patterns| format!("^(?:{patterns})")));
static BEGINS_WITH_IS_YOUR: LazyLock<Regex> =
    LazyLock::new(|| compile(IS_YOUR, |patterns| format!("^(?:{patterns})")));

const STRONG: Table = &[
    ("en", &["otp", "otps", "totp", "2fa", "one time pass*", "one time pin*", "one time code*", "onetime code*",
        "single use code*", "passcode*", "pass code", "security pin", "verification number", "authentication number", "security number", "=TAC", "=PAC", "2 step", "two factor"]),
    ("de", &["=TAN", "mtan", "smstan", "phototan", "pushtan", "chiptan", "apptan", "*einmalcode*", "*einmalkennwort*", "*einmalpasswort*", "*einmal pin", "einmal token*",
        "*anmeldecode*", "*bestätigungscode*", "*sicherheitscode*", "*zugangscode*", "*freischaltcode*", "*verifizierungscode*"]),
    ("fr", &["mot de passe à usage unique", "code à usage unique", "code unique", "code de vérif*", "code d'authentification"]),
    ("es", &["código de un solo uso", "clave dinámica", "clave de un solo uso", "contraseña de un solo uso", "código de verif*"]),
    ("it", &["codice usa e getta", "codice monouso", "password monouso", "codice di verif*"]),
    ("pt", &["código de uso único", "senha de uso único", "senha temporária", "código de verif*", "chave de confirmação"]),
    ("nl", &["eenmalig wachtwoord", "eenmalige code", "*verificatiecode*", "*inlogcode*", "*toegangscode*", "*beveiligingscode*"]),
    ("sv", &["engångskod*", "engångslösenord*", "*verifieringskod*", "*säkerhetskod*", "*inloggningskod*"]),
    ("no/da", &["engangskode*", "engangspassord*", "engangsadgangskode*", "*bekreftelseskode*", "*bekræftelseskode*", "*sikkerhedskode*", "*sikkerhetskode*"]),
    ("fi", &["kertakäyttö*", "vahvistuskoodi*", "*turvakoodi*", "kirjautumiskoodi*"]),
    ("pl", &["kod weryfikac*", "kod jednoraz*", "hasło jednoraz*", "kod sms"]),
    ("cs/sk", &["jednorázov*", "ověřovací kód", "overovací kód", "autorizační kód", "autorizačný kód"]),
    ("ro", &["cod de verificare", "parolă unică", "cod unic", "codul unic"]),
    ("hu", &["egyszer használatos", "ellenőrző kód*", "megerősítő kód*", "biztonsági kód*"]),
    ("tr", &["tek kullanımlık", "doğrulama kod*", "onay kod*", "güvenlik kod*", "giriş kod*", "sms şifre*"]),
    ("az", &["tək istifadəlik"]),
    ("ru/uk/bg/sr", &["отп", "одноразов*", "код подтвержд*", "код підтвердж*", "еднократн*", "код за потвърждение"]),
    ("el", &["κωδικός μίας χρήσης", "κωδικός επαλήθευσης"]),
    ("he", &["קוד אימות", "קוד האימות", "סיסמה חד פעמית", "קוד חד פעמי", "קוד חד-פעמי"]),
    ("ar", &["رمز التحقق", "رمز التأكيد", "كود التحقق", "كلمة المرور لمرة واحدة", "رمز الدخول", "رمز التفعيل"]),
    ("fa", &["رمز یکبار مصرف", "رمز یک بار مصرف", "رمز پویا", "کد تایید", "کد تأیید", "کد ورود", "کد فعال"]),
    ("ur", &["تصدیقی کوڈ", "او ٹی پی"]),
    ("hi", &["ओटीपी", "सत्यापन कोड", "वन टाइम पासवर्ड"]),
    ("bn", &["ওটিপি", "যাচাইকরণ কোড", "যাচাই কোড", "ভেরিফিকেশন কোড"]),
    ("ta/te/mr/gu/kn/ml/pa", &["சரிபார்ப்பு", "ధృవీకరణ కోడ్", "पडताळणी कोड", "ચકાસણી કોડ", "ಪರಿಶೀಲನಾ ಕೋಡ್", "സ്ഥിരീകരണ കോഡ്", "ਤਸਦੀਕ ਕੋਡ", "ஓடிபி", "ఓటీపీ"]),
    ("th", &["รหัสยืนยัน", "รหัส otp", "โอทีพี", "รหัสผ่านแบบใช้ครั้งเดียว"]),
    ("vi", &["mã xác thực", "mã xác nhận", "mã xác minh", "mã kích hoạt"]),
    ("id/ms", &["kode verifikasi", "kod pengesahan", "kata sandi sekali pakai", "kode keamanan", "kode sekali pakai"]),
    ("zh", &["验证码", "驗證碼", "校验码", "动态密码", "動態密碼", "动态码", "一次性密码", "一次性密碼", "认证码", "認證碼",
        "随机密码", "短信密码", "确认码", "確認碼", "安全码", "登录码", "授权码"]),
    ("ja", &["認証コード", "認証番号", "確認コード", "確認番号", "検証コード", "ワンタイムパスワード", "ワンタイムコード", "セキュリティコード", "ログインコード"]),
    ("ko", &["인증번호", "인증 번호", "인증코드", "인증 코드", "일회용 비밀번호", "확인 코드", "보안 코드", "로그인 코드"]),
];

const WORD: Table = &[
    ("en/fr/nl", &["code", "codes", "*code", "pin", "pins", "password*", "passwort*", "token", "tokens", "authenticator", "keycode"]),
    ("de/nl", &["kennwort*", "zugangsdaten", "*kennzahl", "wachtwoord*", "schlüssel", "geheimzahl"]),
    ("fr", &["mot de passe", "identifiant unique"]),
    ("es/ca/pt", &["código*", "codi", "clave", "contraseña*", "contrasenya", "senha", "palavra passe"]),
    ("it", &["codice", "codici", "parola d'ordine"]),
    ("sv/no/da/et/fi", &["*kod", "*koden", "*kode", "*kodi", "*kood", "*koodi*", "adgangskode*", "passord*", "lösenord*", "salasana*"]),
    ("pl/cs/sk/hr/hu/ro/tr/az/lt/lv/id", &["kod*", "kôd*", "cod", "codul*", "kód*", "hasło", "heslo*", "jelszó*", "jelszav*", "parola*", "lozinka*",
        "şifre*", "sifre*", "kode", "parol*", "slaptažod*", "kòd", "sandi"]),
    ("ru/uk/bg/sr/mn", &["код*", "пароль*", "пароля*", "парола*", "лозинк*", "пин", "токен*"]),
    ("el", &["κωδικός*", "κωδικό*", "pin"]),
    ("ka/hy", &["კოდი*", "կոդ*"]),
    ("he", &["קוד", "סיסמ"]),
    ("ar/fa/ur", &["رمز", "كود", "الرمز", "كلمة المرور", "کد", "گذرواژه", "کوڈ", "پاسورڈ"]),
    ("hi/mr/ne", &["कोड", "पासवर्ड", "पिन"]),
    ("bn", &["কোড", "পিন", "পাসওয়ার্ড"]),
    ("ta/te/kn/ml/gu/pa/si", &["குறியீடு", "కోడ్", "ಕೋಡ್", "കോഡ്", "કોડ", "ਕੋਡ", "කේතය"]),
    ("th/lo/km/my", &["รหัส", "ລະຫັດ", "កូដ", "လေ့ကုဒ်", "ကုဒ်"]),
    ("vi", &["mã", "ma otp", "mật khẩu", "chuỗi otp"]),
    ("sw/tl/eu", &["nambari", "msimbo", "namba", "kodea"]),
    ("zh", &["密码", "密碼", "口令", "取件码", "取件碼", "取货码", "提货码", "代码", "代碼"]),
    ("ja", &["コード", "暗証番号", "パスワード", "番号は"]),
    ("ko", &["코드", "비밀번호", "번호는"]),
];

const PURPOSE: Table = &[
    ("en", &["verif*", "confirm*", "authenti*", "auth", "login", "log in", "logging in", "sign in", "signing in", "signin", "sign on", "sign up",
        "sign into", "log into", "secur*", "secret", "one time", "access", "activat*", "registration", "register*", "reset", "2 step", "account code", "temporary", "guard"]),
    ("de", &["anmeld*", "einmal*", "bestätig*", "verifizier*", "sicherheit*", "zugang*", "registrier*", "freigabe*", "einlog*", "zurücksetz*"]),
    ("fr", &["connexion", "connecter", "vérif*", "sécurit*", "authentif*", "activation", "réinitialis*"]),
    ("es/ca/pt/it", &["acced*", "acceso", "access*", "acesso", "inici* de sess*", "inicio de ses*", "seguri*", "seguran*", "sicurezza", "autentic*", "autoriza*", "autorizza*",
        "entrar", "iniciar ses*", "inici de sess*", "d'inici", "ativa*", "activa*", "attiva*", "restabl*", "redefini*", "reimposta*", "sms", "transferência"]),
    ("nl/sv/no/da", &["inloggen", "in te loggen", "verificatie", "bevestig*", "beveilig*", "logga in", "inlogg*", "logg inn", "log ind", "bekräft*", "bekreft*", "bekræft*", "godkend*", "godkänn*", "säkerhet*"]),
    ("fi/et/hu", &["kirjautu*", "vahvist*", "turva*", "sisselogimi*", "kinnitus*", "taasseadmi*", "bejelentkez*", "ellenőrz*", "megerősít*", "belép*"]),
    ("pl/cs/sk/hr/sl/ro/lt/lv", &["weryfik*", "logowani*", "potwierdz*", "autoryzac*", "przelew*", "ověř*", "over*ovac*", "přihláš*", "prihlás*", "potvrd*", "prijav*", "verificare",
        "autentific*", "conectare", "confirm*", "securit*", "patvirtin*", "prisijung*", "atstatym*", "atiestatī*", "apstiprinā*", "pieteik*"]),
    ("tr/az", &["doğrulama*", "onay*", "giriş*", "güvenlik*", "təsdiq*", "sıfırlama*"]),
    ("ru/uk/bg/sr/mn", &["вход*", "вхід*", "входу", "влизане", "войти", "увійти", "подтвержд*", "підтвердж*", "потвърж*", "потврд*", "авторизац*", "авторизації", "регистрац*", "безопасност*", "доступ*", "сброс*", "нэвтрэх", "шинэчлэх"]),
    ("el/ka/hy", &["επαλήθευσ*", "σύνδεσ*", "ασφαλ*", "μίας χρήσης", "ვერიფიკაცი*", "შესვლ*", "հաստատ*"]),
    ("he", &["אימות", "כניסה", "התחברות", "חד פעמי"]),
    ("ar/fa/ur", &["التحقق", "تحقق", "تأكيد", "تسجيل الدخول", "الدخول", "تفعيل", "ورود", "تایید", "تأیید", "بازنشانی", "تصدیق", "لاگ ان"]),
    ("hi/bn", &["सत्यापन", "लॉगिन", "सुरक्षा", "যাচাই", "লগইন"]),
    ("ta/te", &["சரிபார்", "உள்நுழை", "ధృవీకరణ", "లాగిన్"]),
    ("th", &["ยืนยัน", "เข้าสู่ระบบ", "ลงชื่อเข้า", "ความปลอดภัย"]),
    ("vi/id/ms/tl/sw/ht/eu", &["xác thực", "xác nhận", "xác minh", "đăng nhập", "kích hoạt", "verifikasi", "masuk", "pengesahan", "keamanan", "uthibitisho", "re-inisyalizasyon", "koneksyon", "saio-hasier*", "berrezar*"]),
    ("zh", &["验证", "驗證", "登录", "登錄", "登入", "注册", "註冊", "动态", "身份", "安全", "找回", "绑定"]),
    ("ja", &["認証", "確認", "ログイン", "サインイン", "本人", "再設定", "登録"]),
    ("ko", &["인증", "로그인", "본인확인", "재설정", "가입", "보안"]),
];

const ENTER: Table = &[
    ("en", &["enter", "use", "type", "input", "provide", "submit", "copy", "paste"]),
    ("de/nl", &["eingeben", "geben sie", "gib", "verwende*", "nutze*", "voer", "gebruik", "benutze*"]),
    ("fr", &["entrez", "saisissez", "utilisez", "entrer", "saisir", "tapez"]),
    ("es/pt/it/ca", &["introduzca", "introduce", "ingresa*", "ingrese", "usa", "use", "utilice", "digite", "insira", "introduza", "inserisci*", "inserire", "usa", "utilizza"]),
    ("sv/no/da/fi", &["ange", "använd", "skriv in", "bruk", "skriv inn", "indtast", "brug", "syötä", "anna", "käytä"]),
    ("pl/cs/sk/hu/ro", &["wpisz", "podaj", "użyj", "wprowadź", "zadejte", "zadajte", "použijte", "írja be", "adja meg", "add meg", "introduceți", "folosiți", "introdu"]),
    ("tr/ru/uk/bg/el", &["girin*", "giriniz", "kullanın*", "ile", "введите", "используйте", "введіть", "въведете", "εισάγετε", "χρησιμοποιήστε"]),
    ("he/ar/fa/hi/bn", &["הזן", "הקש", "הקלד", "أدخل", "استخدم", "وارد کنید", "दर्ज करें", "লিখুন", "ব্যবহার করুন"]),
    ("th/vi/id/ms", &["กรอก", "ใช้", "ป้อน", "nhập", "dùng", "masukkan", "gunakan"]),
    ("zh/ja/ko", &["输入", "輸入", "请用", "使用", "填写", "入力", "입력"]),
];

const IS: Table = &[
    ("en/nl/de/fr/es/ca/it/pt", &["is", "are", "as", "ist", "lautet", "est", "es", "és", "é", "è", "sono", "são", "luidt", "will be", "ist die", "ist der", "est le", "est la", "es el", "es la", "è il", "è la", "é o", "é a", "is the", "below", "following"]),
    ("sv/no/da/fi/et", &["är", "er", "on", "blir"]),
    ("pl/cs/sk/hr/ro/hu/lt", &["to", "brzmi", "je", "jest", "este", "yra", "ir", "az"]),
    ("el/mn", &["είναι", "бол"]),
    ("he/ar/fa/ur", &["הוא", "היא", "هو", "هي", "است", "ہے"]),
    ("hi/bn", &["है", "হল", "হলো"]),
    ("id/ms/vi/tl/sw", &["adalah", "ialah", "là", "la", "ay", "ni"]),
    ("th", &["คือ", "เป็น"]),
    ("zh/ja/ko", &["是", "为", "為", "は", "は、", "은", "는", "が"]),
    ("sr", &["је"]),
];

const IS_YOUR: Table = &[
    ("en", &["is your", "is the", "as your", "is ur", "to verify", "to confirm", "to log in", "to login", "to sign in", "to authenticate", "as the", "as"]),
    ("de/nl/sv/no/da", &["ist ihr", "ist dein*", "ist der", "lautet ihr", "als", "is je", "is uw", "is jouw", "är din", "är ditt", "är koden", "er din", "er dit", "er koden"]),
    ("fr/es/ca/it/pt", &["est votre", "est ton", "est le", "comme", "es tu", "es su", "es el", "és el", "como", "è il", "e il tuo", "è la", "é o seu", "é o", "é seu", "é a sua"]),
    ("fi/pl/cs/sk/hr/hu/ro", &["on sinun", "on ", "to twój", "to kod", "to twoje", "jest", "je váš", "je vas", "je tvoj", "je vaš", "az ön", "a(z)", "este codul", "este parola"]),
    ("tr/ru/uk/bg/el", &["kodunuz*", "doğrulama*", "şifreniz*", "kodu ile", "ваш код", "- ваш", "это ваш", "- код", "твой код", "код", "є вашим", "е вашият", "είναι ο"]),
    ("he/ar/fa/ur/hi/bn", &["הוא ה", "הוא קוד", "هو رمز", "هو كود", "رمز", "کد", "आपका", "है आपका", "आपके", "is aapka", "আপনার"]),
    ("id/ms/vi/th/tl", &["adalah", "ialah", "là mã", "la ma", "คือรหัส", "เป็นรหัส", "ang iyong"]),
    ("zh/ja/ko", &["是您", "是你", "为您", "為您", "(登录", "(登入", "が認証", "は認証", "は確認", "が", "입니다", "(이)가", "이(가)", "를 입력", "을 입력"]),
];

const OTHER: Table = &[
    ("en", &["order", "orders", "ref", "ref.", "refno", "reference", "ticket", "case", "invoice", "account", "acct", "a/c", "card", "ending", "ending in", "ends with",
        "last 4", "last four", "transaction", "txn", "customer", "member", "booking", "reservation", "confirmation", "flight", "gate", "seat", "room", "suite", "apt", "tracking", "parcel",
        "package", "shipment", "policy", "serial", "model", "version", "build", "request id", "id", "user", "username", "phone", "call", "tel", "telephone", "mobile", "dial", "ring",
        "fax", "helpline", "hotline", "whatsapp", "contact", "number", "po box", "pobox", "box", "balance", "amount", "total", "bill", "amt", "limit", "points", "step", "port",
        "zip", "rd", "street", "since", "year", "copyright", "©", "at", "reply", "stop", "help", "text", "txt", "send", "issue", "pull request", "pr", "error", "license", "licence", "nhs"]),
    ("de/nl", &["bestellung", "bestell*", "auftrag*", "rechnung*", "referenz", "kunden*", "konto*", "karte*", "kartennummer", "endet auf", "endend auf", "vorgang*", "*nummer", "nr", "sendung*", "paket*", "betrag", "telefon*",
        "bestelling*", "factuur*", "klant*", "rekening*", "pas", "kaart*", "eindigend op", "bedrag", "volgnr", "hotline", "ruf", "notruf", "postfach"]),
    ("fr", &["commande", "référence", "réf", "facture", "dossier", "compte", "carte", "client", "numéro", "n°", "colis", "montant", "téléphone", "tél", "appelez", "appeler", "fiscal", "se terminant par", "billet", "vol"]),
    ("es/ca/pt/it", &["pedido", "referencia", "referência", "factura", "fatura", "fattura", "cuenta", "conta", "conto", "tarjeta", "cartão", "carta", "cliente", "número", "numero", "n.", "nº", "paquete", "pacote", "pacco",
        "importe", "valor", "importo", "teléfono", "telefone", "telefono", "llama al", "ligue", "chiama", "terminada en", "terminada em", "final", "termina en", "operación", "operação", "operazione", "ordine", "riferimento", "pratica", "ticket", "reserva", "prenotazione"]),
    ("sv/no/da/fi", &["beställning*", "ordre*", "ordrenummer", "faktura*", "kund*", "kunde*", "konto*", "kort*", "kortet", "belopp", "beløp", "ring", "paket*", "pakke*", "tilaus*", "lasku*", "asiakas*", "tili*", "puhelin*", "lähety*", "viite*", "slutar på", "slutter på"]),
    ("pl/cs/sk/hu/ro", &["zamówieni*", "faktur*", "klient*", "rachun*", "rach", "konta", "kart*", "kwota", "paczk*", "numer*", "przesyłk*", "objednáv*", "zásilk*", "účt*", "částka", "suma", "rendelés*", "számla*", "számlaszám", "kártya*", "összeg*",
        "csomag*", "ügyfél*", "comand*", "factur*", "cont*", "card*", "număr*", "colet*", "tel", "infolinia", "telefon*", "operacj*", "końcówk*"]),
    ("tr", &["sipariş*", "fatura*", "hesap*", "hesab*", "kart*", "müşteri*", "takip no*", "referans*", "tutar*", "kargo*", "mersis*", "son dört", "biten"]),
    ("ru/uk/bg", &["заказ*", "замовлен*", "поръчка*", "счет*", "счёт*", "рахун*", "сметка*", "карт*", "номер*", "операци*", "транзакци*", "сумм*", "сума", "баланс*", "тел", "телефон*", "звоните", "перевод*", "договор*", "обращени*", "заявк*", "посылк*", "№"]),
    ("el", &["παραγγελία*", "λογαριασμ*", "κάρτα*", "αριθμ*", "τιμολόγιο*", "ποσό*", "τηλ*", "αναφορά*"]),
    ("he/ar/fa/ur", &["הזמנה", "חשבון", "כרטיס", "מספר", "משלוח", "סכום", "טלפון", "שירות לקוחות", "אסמכתא", "طلب", "الطلب", "حساب", "الحساب", "بطاقة", "البطاقة", "رقم", "مبلغ", "هاتف", "اتصل", "مرجع", "سفارش", "کارت", "شماره", "مانده", "تلفن", "پیگیری", "آرڈر", "کارڈ", "نمبر"]),
    ("hi/bn", &["ऑर्डर", "खाता", "खाते", "कार्ड", "संख्या", "नंबर", "राशि", "आईडी", "फोन", "अकाउंट", "অর্ডার", "অ্যাকাউন্ট", "কার্ড", "নম্বর", "পরিমাণ", "ব্যালেন্স", "ফোন"]),
    ("th/vi/id/ms", &["คำสั่งซื้อ", "บัญชี", "บัตร", "หมายเลข", "จำนวน", "โทร", "อ้างอิง", "พัสดุ", "ref code", "đơn hàng", "don hang", "tài khoản", "tai khoan", "thẻ", "số", "sđt", "lh", "liên hệ", "mã gd", "mã giao dịch", "mã đơn", "pesanan", "rekening", "kartu", "nomor", "resi", "hub", "hubungi", "pesanan", "akaun", "kad", "rujukan"]),
    ("zh", &["订单", "訂單", "订单号", "尾号", "末四碼", "末四码", "卡号", "卡號", "账号", "帐号", "账户", "帳號", "电话", "電話", "客服", "热线", "熱線", "致电", "编号", "編號", "单号", "單號", "运单", "金额", "金額", "余额", "尾號", "发送", "至", "拨打", "工号", "流水号"]),
    ("ja", &["注文番号", "注文", "お問い合わせ番号", "電話", "電話番号", "会員番号", "口座", "カード", "金額", "残高", "受付番号", "伝票番号", "予約番号", "下4桁", "お客様番号"]),
    ("ko", &["주문", "주문번호", "계좌", "카드", "잔액", "금액", "전화", "고객센터", "송장", "운송장", "예약번호", "접수번호", "문의"]),
];

const OTHER_CODE: Table = &[
    ("en", &["postal code*", "zip code*", "post code*", "postcode*", "zipcode*", "area code*", "country code*", "sort code*", "swift code*", "bank code*", "ifsc code*", "branch code*", "error code*", "exit code*", "status code*", "response code*",
        "alert code*", "identifier code*", "building code*", "dress code*", "class code*", "course code*", "join code*", "bar code*", "barcode*", "qr code*", "qrcode*", "source code*", "opcode*", "product code*", "item code*", "style code*", "purchase code*", "order code*",
        "promo code*", "promotion code*", "promotional code*", "coupon code*", "voucher code*", "voucher", "discount code*", "gift code*", "gift card*", "offer code*", "referral code*", "refer code*", "invite code*", "invitation code*", "redeem code*", "redemption code*", "claim code*", "claim no",
        "booking code*", "reservation code*", "tracking code*", "reference code*", "ref code*", "transaction code*", "tax code*", "subscription code*", "dialling code*", "dialing code*", "short code*", "shortcode*", "decode*", "encode*", "unicode", "geocode*", "morse code", "vat code", "hs code", "merchant code", "project code", "device code name", "door code", "gate code"]),
    ("de/nl", &["*gutscheincode*", "*rabattcode*", "*gutschein*", "aktionscode*", "postleitzahl*", "plz", "*fehlercode*", "*strichcode*", "kortingscode*", "actiecode*", "cadeaucode*", "foutcode*", "*buchungscode*"]),
    ("fr", &["code postal", "code promo*", "code de réduction", "code barre*", "code parrain*", "code cadeau", "code erreur", "code client"]),
    ("es/pt/it/ca", &["código postal", "código de descuento", "código promocional", "código de desconto", "cupón", "cupom", "código de barras", "código de error", "código de reserva", "código de cliente", "codice postale", "codice sconto", "codice promo*", "codice fiscale", "codice cliente", "codice a barre", "codice prenotazione", "cap", "cep", "código de rastreo", "código de rastreamento"]),
    ("sv/no/da/fi", &["postnr", "postnummer", "rabattkod*", "rabatkode*", "rabattkode*", "kampanjkod*", "kampanjekode*", "streckkod*", "postinumero", "alennuskoodi*", "felkod*"]),
    ("pl/cs/sk/hu/ro", &["kod pocztowy", "kod rabatowy", "kod promocyjny", "psč", "poštovní", "slevový kód", "slevový kupón", "irányítószám*", "kuponkód*", "cod poștal", "cod promoțional", "cod de reducere", "kod kreskowy"]),
    ("tr/ru/uk/el", &["posta kodu*", "indirim kodu*", "kampanya kodu*", "промокод*", "почтов* индекс*", "поштов* індекс*", "код товара", "код ошибки", "код клиента", "ταχυδρομικ*", "κωδικός έκπτωσης", "εκπτωτικ*"]),
    ("he/ar/fa/hi", &["מיקוד", "קוד קופון", "קופון", "كود الخصم", "كود خصم", "رمز بريدي", "الرمز البريدي", "قسيمة", "کد تخفیف", "کد پستی", "कूपन", "पिन कोड नंबर"]),
    ("th/vi/id/ms", &["รหัสไปรษณีย์", "รหัสส่วนลด", "คูปอง", "mã giảm giá", "mã bưu", "mã khuyến mãi", "kode pos", "kode promo", "kode voucher", "poskod", "kod promosi", "kode referral"]),
    ("zh/ja/ko", &["邮编", "郵遞區號", "邮政编码", "优惠码", "優惠碼", "折扣码", "折扣碼", "兑换码", "兌換碼", "券代碼", "券代码", "红包口令", "邀请码", "邀請碼", "推荐码", "二维码", "條碼", "クーポンコード", "クーポン", "郵便番号", "招待コード", "エラーコード", "쿠폰", "할인코드", "할인 코드", "우편번호", "초대 코드", "추천인 코드"]),
];

const PROMO: Table = &[
    ("en", &["discount*", "coupon*", "voucher*", "promo*", "% off", "sale", "prize*", "winner*", "won", "win", "free entry", "cashback", "offer", "offers", "reward*", "redeem", "bonus", "ringtone*", "gift", "claim", "checkout", "shop now", "shop", "subscribe"]),
    ("de/nl/fr/es/it/pt", &["rabatt*", "gutschein*", "gratis", "korting*", "remise", "réduction", "soldes", "descuento*", "oferta*", "sconto", "offerta", "desconto*", "promoç*"]),
    ("sv/no/da/fi/pl/cs/hu/ro/tr", &["rea", "rabatt*", "tilbud", "tarjous", "alennus*", "rabat*", "promocj*", "slev*", "kedvezmény*", "reducere", "indirim*", "kampanya*"]),
    ("ru/uk/el/he/ar/fa/hi/bn", &["скидк*", "знижк*", "акци*", "έκπτωσ*", "הנחה", "מבצע", "خصم", "تخفیف", "छूट", "ছাড়"]),
    ("th/vi/id/zh/ja/ko", &["ส่วนลด", "khuyến mãi", "giảm giá", "diskon*", "优惠", "優惠", "红包", "折扣", "折价", "折價", "クーポン", "割引", "OFF", "할인", "쿠폰"]),
];

const LURE: Table = &[
    ("en", &["text it back", "send it back", "send it to me", "text me the", "send me the", "forward it to", "forward me", "accidentally sent", "sent by mistake", "by accident", "tell me the code", "give me the code", "read me the", "ignore previous", "ignore all previous", "disregard previous"]),
    ("de/fr/es/it/pt", &["schick mir", "schicken sie mir", "aus versehen", "envoie moi", "envoyez moi", "par erreur", "envíame", "por error te", "mándame", "mandami", "per sbaglio", "me manda o código", "por engano"]),
];

const BACKUP: Table = &[
    ("en", &["backup code*", "back up code*", "backup verification code*", "recovery code*", "recovery phrase", "scratch code*", "emergency code*"]),
    ("de/fr/es/it/pt/nl", &["backup codes", "wiederherstellungscode*", "ersatzcode*", "codes de secours", "codes de récupération", "códigos de respaldo", "códigos de recuperación", "codici di backup", "codici di recupero", "códigos de backup", "códigos de recuperação", "herstelcode*", "reservecode*"]),
    ("pl/ru/zh/ja/ko", &["kody zapasowe", "резервн* код*", "备用码", "备份码", "備用碼", "恢复码", "バックアップコード", "リカバリーコード", "백업 코드"]),
];
