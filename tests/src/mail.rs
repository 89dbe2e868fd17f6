//! Mail over real SMTP, as a service's mail program delivers it.

use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::place::Place;
use crate::wait::within;

impl Place {
    /// Delivers a mail in plain text, which must be taken.
    pub async fn mail(&self, from: &str, text: &str) {
        let mail = draft(from).singlepart(SinglePart::plain(text.to_owned())).unwrap();
        self.deliver(mail).await.unwrap();
    }

    /// Delivers a mail in plain text with this `Message-ID`: sent again, it is a copy.
    pub async fn mail_named(&self, id: &str, from: &str, text: &str) {
        let draft = draft(from).message_id(Some(id.to_owned()));
        self.deliver(draft.singlepart(SinglePart::plain(text.to_owned())).unwrap()).await.unwrap();
    }

    /// Delivers a mail in HTML with a plain text beside it, which must be taken.
    pub async fn html_mail(&self, from: &str, text: &str, html: &str) {
        let both = MultiPart::alternative_plain_html(text.to_owned(), html.to_owned());
        self.deliver(draft(from).multipart(both).unwrap()).await.unwrap();
    }

    /// Offers a mail, and gives the listener's answer.
    ///
    /// # Errors
    ///
    /// The listener's refusal.
    pub async fn offer_mail(&self, from: &str, text: &str) -> Result<Response, Error> {
        self.deliver(draft(from).singlepart(SinglePart::plain(text.to_owned())).unwrap()).await
    }

    async fn deliver(&self, mail: Message) -> Result<Response, Error> {
        let smtp: std::net::SocketAddr = self.smtp_address().parse().unwrap();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.ip().to_string())
            .port(smtp.port())
            .build();
        within("the delivery of a mail", transport.send(mail)).await
    }

    /// Sends bytes to the mail listener, and gives everything that it answers until it closes the connection.
    pub async fn smtp(&self, bytes: &[u8]) -> Vec<String> {
        let mut stream = TcpStream::connect(self.run().smtp).await.unwrap();
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).split(b'\n');
        let talk = async {
            // The listener may hang up in the middle, and then it has said why.
            write.write_all(bytes).await.ok();
            write.shutdown().await.ok();
        };
        let hear = async {
            let mut heard = Vec::new();
            while let Ok(Some(line)) = lines.next_segment().await {
                heard.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            heard
        };
        within("the end of an SMTP session", async { tokio::join!(talk, hear).1 }).await
    }
}

fn draft(from: &str) -> lettre::message::MessageBuilder {
    let to: Mailbox = "me@example.org".parse().unwrap();
    Message::builder().from(from.parse().unwrap()).to(to).subject("Please verify your device")
}
