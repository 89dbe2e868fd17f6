//! Debian's dovecot, as an ordinary process in a directory of its own, on free ports of the loopback.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use agent_otp_jetstream::clock;
use rustix::process::{Pid, Signal, getegid, geteuid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::running::{eventually, within};
use crate::swaks;

/// Who has a mailbox here.
pub(crate) const USER: &str = "me@home.example";
/// Their password.
pub(crate) const PASSWORD: &str = "app \"pass\" word";
/// Whose the mail is if root runs the tests: dovecot delivers for nobody who is root.
const NOBODY: u32 = 65_534;

/// A running dovecot; dropped, it ends.
pub(crate) struct Dovecot {
    dir: TempDir,
    ports: Ports,
    child: Child,
}

#[derive(Clone, Copy)]
struct Ports {
    imap: u16,
    imaps: u16,
    lmtp: u16,
}

impl Dovecot {
    /// Starts one with an empty mailbox.
    pub(crate) async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// The same with more in its configuration, and files of that; `DIR` stands for its directory.
    pub(crate) async fn start_with(more: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("mail")).unwrap();
        if geteuid().is_root() {
            chown(dir.path().join("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        certify(dir.path()).await;
        private(&dir.path().join("password"), PASSWORD);
        fs::write(dir.path().join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n")).unwrap();
        let here = dir.path().to_str().unwrap();
        for (name, content) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content.replace("DIR", here)).unwrap();
        }
        // A port that is free now may be taken a moment later.
        for _ in 0..5 {
            let ports = Ports { imap: free_port(), imaps: free_port(), lmtp: free_port() };
            fs::write(
                dir.path().join("dovecot.conf"),
                config(dir.path(), ports) + &more.replace("DIR", here),
            )
            .unwrap();
            if let Some(child) = run(dir.path(), ports).await {
                return Self { dir, ports, child };
            }
        }
        panic!("dovecot does not start:\n{}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    /// Ends it, with every connection, and leaves its mail.
    pub(crate) async fn stop(&mut self) {
        self.signal();
        within("the end of dovecot", self.child.wait()).await.unwrap();
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) {
        self.child = run(self.dir.path(), self.ports).await.expect("its ports are free still");
    }

    fn signal(&self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().unwrap()));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).unwrap();
        }
    }

    /// Delivers a mail by LMTP.
    pub(crate) async fn deliver(&self, mail: &str) {
        let server = format!("127.0.0.1:{}", self.ports.lmtp);
        let said = swaks::deliver(&["--server", &server, "--protocol", "LMTP"], &[USER], mail).await;
        assert!(said.is_taken, "{}\n{}", said.text, self.log());
    }

    /// Delivers a mail by dovecot's own delivery agent.
    pub(crate) async fn deliver_locally(&self, mail: &str) {
        let file = self.dir.path().join("mail.eml");
        fs::write(&file, mail).unwrap();
        let output = Command::new("/usr/lib/dovecot/dovecot-lda")
            .arg("-c")
            .arg(self.dir.path().join("dovecot.conf"))
            .args(["-d", USER, "-p"])
            .arg(&file)
            .stdin(Stdio::null())
            .output();
        let output = within("the end of dovecot-lda", output).await.unwrap();
        assert!(output.status.success(), "{output:?}\n{}", self.log());
    }

    /// Delivers a mail past dovecot, as another machine does on a shared disk.
    pub(crate) fn deliver_past(&self, mail: &str) {
        let seconds = clock::now().as_unix_ms() / 1_000;
        let [written, delivered] = ["tmp", "new"]
            .map(|folder| self.maildir().join(folder).join(format!("{seconds}.M1P1.elsewhere")));
        fs::write(&written, mail).unwrap();
        if geteuid().is_root() {
            chown(&written, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::rename(written, delivered).unwrap();
    }

    /// The table of its mailbox without TLS, by way of something in between.
    pub(crate) fn table_past(&self, proxy: SocketAddr) -> String {
        let lines = format!("tls = \"none\"\nport = {}\n{}", proxy.port(), self.password());
        self.table_with(&lines).replace("localhost", "127.0.0.1")
    }

    /// The table `[[imap]]` of its mailbox, over TLS from the first octet.
    pub(crate) fn table(&self) -> String {
        self.table_with(&format!("port = {}\n{}", self.ports.imaps, self.password()))
    }

    /// The same with STARTTLS.
    pub(crate) fn starttls_table(&self) -> String {
        let port = self.ports.imap;
        self.table_with(&format!("tls = \"starttls\"\nport = {port}\n{}", self.password()))
    }

    /// The same over TLS with other lines for the login.
    pub(crate) fn table_by(&self, login: &str) -> String {
        self.table_with(&format!("port = {}\n{login}", self.ports.imaps))
    }

    fn table_with(&self, lines: &str) -> String {
        format!(
            "[[imap]]\nname = \"mine\"\nhost = \"localhost\"\nuser = \"{USER}\"\nca_file = \"{}\"\n{lines}\n",
            self.path("cert.pem").display()
        )
    }

    fn password(&self) -> String {
        format!("password_file = \"{}\"", self.path("password").display())
    }

    /// The port of IMAP without TLS.
    pub(crate) fn imap_port(&self) -> u16 {
        self.ports.imap
    }

    /// A file of its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The user's Maildir.
    pub(crate) fn maildir(&self) -> PathBuf {
        self.path("mail").join(USER).join("Maildir")
    }

    /// Every mail that the user has, in `new` and `cur`, with the flags in its name, and what dovecot keeps of it.
    pub(crate) fn mails(&self) -> BTreeMap<String, Vec<u8>> {
        belongings(&self.maildir())
    }

    /// What it has written down.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.signal();
    }
}

/// Every file of a Maildir, with its content.
pub(crate) fn belongings(maildir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["new", "cur", "tmp"] {
        let Ok(entries) = fs::read_dir(maildir.join(folder)) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// Writes a file that nobody else can read.
pub(crate) fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Makes a certificate that is its own authority, for `localhost`.
pub(crate) async fn certify(dir: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output();
    let output = within("the end of openssl", output).await.expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
    fs::set_permissions(dir.join("key.pem"), Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn free_port() -> u16 {
    StdTcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs it, and waits until it answers; none if it ends instead.
async fn run(dir: &Path, ports: Ports) -> Option<Child> {
    let mut child = Command::new("/usr/sbin/dovecot")
        .arg("-F")
        .arg("-c")
        .arg(dir.join("dovecot.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dovecot is installed: type cargo xtask test, or sudo apt-get install dovecot-imapd dovecot-lmtpd");
    let ready = eventually("dovecot", async || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let stream = TcpStream::connect(("127.0.0.1", ports.imap)).await.ok()?;
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).await.ok()?;
        greeting.starts_with("* OK").then_some(true)
    });
    ready.await.then_some(child)
}

fn config(dir: &Path, ports: Ports) -> String {
    let (uid, gid, users) = if geteuid().is_root() {
        (NOBODY, NOBODY, String::new())
    } else {
        // Its parts run as users of their own only where root has started it.
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let (user, group) = (named("/etc/passwd", uid), named("/etc/group", gid));
        let users = format!(
            "default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n"
        );
        (uid, gid, users)
    };
    let (dir, Ports { imap, imaps, lmtp }) = (dir.display(), ports);
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\n{users}\
         protocols = imap lmtp\nlisten = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\nauth_mechanisms = plain login xoauth2\n\
         mail_location = maildir:{dir}/mail/%u/Maildir:INDEX={dir}/mail/%u/index:CONTROL={dir}/mail/%u/control\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\n\
         passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN {dir}/users\n}}\n\
         userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={dir}/mail/%u allow_all_users=yes\n}}\n\
         namespace inbox {{\n  inbox = yes\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {imap}\n  }}\n\
         \x20 inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n}}\n\
         service anvil {{\n  chroot =\n}}\n"
    )
}

/// The name that a line `NAME:…:ID:…` of a file gives to a number.
fn named(file: &str, id: u32) -> String {
    let lines = fs::read_to_string(file).unwrap();
    let name = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    });
    name.expect("dovecot knows users and groups by their names")
}
