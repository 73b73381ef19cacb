//! Three ways to the same router.

use std::convert::Infallible;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tower::ServiceExt;

use super::call::Call;
use crate::api::{Caller, WHO};
use crate::edge;
use crate::owner::token::ControlToken;

/// Largest answer that is read whole, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A unix socket.
    Unix(PathBuf),
    /// HTTP at `host:port`.
    Http(String),
}

impl std::str::FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        let authority = text
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        match authority.filter(|a| !a.is_empty() && a.bytes().all(|b| b.is_ascii_graphic() && b != b'/')) {
            Some(authority) => Ok(Self::Http(authority.to_owned())),
            None => Err("not a server, unix:/PATH or http://HOST:PORT is taken".to_owned()),
        }
    }
}

/// Speaks to one router. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    route: Route,
    tenant: Option<HeaderValue>,
    who: Option<HeaderValue>,
}

#[derive(Debug, Clone)]
enum Route {
    InProcess(Router),
    Server(Server, Option<ControlToken>),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// Certainly nothing arrived.
    NotSent(String),
    /// It was sent, and the answer was lost.
    Lost(String),
}

/// A connection over which calls go one after the other. Whoever serves it sees when this is gone.
#[derive(Debug)]
pub struct Connection(Option<SendRequest<Body>>);

/// An answer whose body may still be coming.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Client {
    /// To the router of this process.
    #[must_use]
    pub fn in_process(router: Router, tenant: Option<HeaderValue>) -> Self {
        Self {
            route: Route::InProcess(router),
            tenant,
            who: who(),
        }
    }

    /// To a server, with the token it asks for.
    #[must_use]
    pub fn to(server: Server, token: Option<ControlToken>, tenant: Option<HeaderValue>) -> Self {
        Self {
            route: Route::Server(server, token),
            tenant,
            who: who(),
        }
    }

    /// Sends once, over a connection of its own.
    ///
    /// # Errors
    /// [`SendError`], which says whether it may have arrived.
    pub async fn send(&self, call: &Call) -> Result<Answer, SendError> {
        let mut request = self.request(call);
        match &self.route {
            Route::InProcess(router) => {
                request.extensions_mut().insert(Caller::Owner);
                let answered: Result<_, Infallible> = router.clone().oneshot(request).await;
                let Ok(response) = answered;
                Ok(Answer::of(response))
            }
            Route::Server(server, _) => {
                // Dropped at the end of this: the connection ends with the body.
                let mut sender = server.connect().await?;
                exchange(&mut sender, request).await
            }
        }
    }

    /// Opens a connection for more than one call; in this process there is none.
    ///
    /// # Errors
    /// [`SendError::NotSent`].
    pub async fn connect(&self) -> Result<Connection, SendError> {
        match &self.route {
            Route::InProcess(_) => Ok(Connection(None)),
            Route::Server(server, _) => server.connect().await.map(Some).map(Connection),
        }
    }

    /// Sends over this connection, which is there for the next call when the answer's body was read.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_over(&self, connection: &mut Connection, call: &Call) -> Result<Answer, SendError> {
        let Some(sender) = &mut connection.0 else {
            return self.send(call).await;
        };
        let mut request = self.request(call);
        request.headers_mut().remove(header::CONNECTION);
        exchange(sender, request).await
    }

    fn request(&self, call: &Call) -> Request<Body> {
        let mut request = call.request(self.authority());
        if let Some(tenant) = &self.tenant {
            request.headers_mut().insert("dormouse-tenant", tenant.clone());
        }
        if let Some(who) = &self.who {
            request.headers_mut().insert(WHO, who.clone());
        }
        if let Route::Server(_, Some(token)) = &self.route {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).expect("a token is hex");
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    fn authority(&self) -> &str {
        match &self.route {
            Route::Server(Server::Http(authority), _) => authority,
            Route::Server(Server::Unix(_), _) | Route::InProcess(_) => "dormouse",
        }
    }
}

/// This user, for those who ask later who it was: the same in each of their terminals, so that what they decided in one
/// and repeat in another is theirs.
fn who() -> Option<HeaderValue> {
    HeaderValue::try_from(edge::user()).ok()
}

impl Server {
    async fn connect(&self) -> Result<SendRequest<Body>, SendError> {
        match self {
            Self::Unix(path) => conversation(UnixStream::connect(path).await).await,
            Self::Http(authority) => conversation(TcpStream::connect(authority).await).await,
        }
    }
}

async fn conversation<S>(connected: std::io::Result<S>) -> Result<SendRequest<Body>, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = connected.map_err(|error| SendError::NotSent(error.to_string()))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::NotSent(error.to_string()))?;
    // Ends when the sender is gone and the last body was read.
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(sender: &mut SendRequest<Body>, request: Request<Body>) -> Result<Answer, SendError> {
    let ready = sender.ready().await;
    ready.map_err(|error| SendError::NotSent(error.to_string()))?;
    match sender.send_request(request).await {
        Ok(response) => Ok(Answer::of(response.map(Body::new))),
        Err(error) if error.is_canceled() => Err(SendError::NotSent(error.to_string())),
        Err(error) => Err(SendError::Lost(error.to_string())),
    }
}

impl Answer {
    fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`SendError::Lost`] when it is cut, or over 64 MiB.
    pub async fn bytes(self) -> Result<Bytes, SendError> {
        http_body_util::Limited::new(self.body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| SendError::Lost(error.to_string()))
    }

    /// How long to wait before trying again, if it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        let seconds = self
            .headers
            .get(header::RETRY_AFTER)?
            .to_str()
            .ok()?
            .parse()
            .ok()?;
        Some(std::time::Duration::from_secs(seconds))
    }
}
