//! gRPC over real connections: the interceptor, and the layer with refusals as gRPC has them.

use std::future::Future;
use std::sync::Arc;

use crate::support::*;
use sm_jwt::*;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

/// The standard's own service, which comes generated: no `protoc` is needed.
fn health() -> HealthService {
    HealthService::from_health_reporter(tonic_health::server::health_reporter().0)
}

async fn listen() -> (TcpIncoming, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (TcpIncoming::from(listener), address)
}

async fn client(address: &str) -> HealthClient<Channel> {
    let channel = Channel::from_shared(address.to_owned())
        .unwrap()
        .connect()
        .await;
    HealthClient::new(channel.unwrap())
}

async fn check(client: &mut HealthClient<Channel>, authorization: &[&str]) -> Result<(), Status> {
    let mut request = Request::new(HealthCheckRequest::default());
    for value in authorization {
        request
            .metadata_mut()
            .append("authorization", value.parse().unwrap());
    }
    client.check(request).await.map(|_| ())
}

/// Runs `calls` against a server.
async fn with_server<F: Future<Output = ()>>(
    server: impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    calls: F,
) {
    let server = tokio::spawn(server);
    tokio::time::timeout(std::time::Duration::from_secs(30), calls)
        .await
        .unwrap();
    server.abort();
}

#[tokio::test]
async fn the_interceptor_lets_good_tokens_through() {
    let interceptor = TokenInterceptor::<NoExtra>::new(Arc::new(access_verifier())).unwrap();
    let service = tonic::service::interceptor::InterceptedService::new(
        HealthServer::new(health()),
        interceptor,
    );
    let (incoming, address) = listen().await;
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming);
    with_server(server, async {
        let mut client = client(&address).await;
        let good = format!("Bearer {}", access_token());
        check(&mut client, &[&good]).await.unwrap();
        let expired = format!(
            "Bearer {}",
            forge_payload(serde_json::json!({ "exp": 10, "iat": 5 }))
        );
        for (authorization, message) in [
            (vec![], "no credentials"),
            (vec!["Basic eA=="], "no credentials"),
            (vec![&*good, &good], "the credentials are not good"),
            (vec!["Bearer x.y.z"], "the credentials are not good"),
            (vec![&*expired], "the credentials are not good"),
            (vec!["DPoP x.y.z"], "the credentials are not good"),
        ] {
            let status = check(&mut client, &authorization).await.unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (Code::Unauthenticated, message),
                "{authorization:?}"
            );
        }
    })
    .await;
}

#[test]
fn the_interceptor_refuses_verifiers_that_have_to_ask_a_store() {
    let store = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let single = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(store)
        .build()
        .unwrap();
    assert_eq!(
        TokenInterceptor::<NoExtra>::new(Arc::new(single))
            .unwrap_err()
            .code(),
        "replay_check_required"
    );
    let store = Arc::new(MemoryRevocationStore::new(10, Arc::new(clock())));
    let revocable = access_builder().revocation_store(store).build().unwrap();
    assert_eq!(
        TokenInterceptor::<NoExtra>::new(Arc::new(revocable))
            .unwrap_err()
            .code(),
        "revocation_check_required"
    );
}

#[test]
fn the_interceptor_leaves_who_asks_and_nothing_that_was_there() {
    use tonic::service::Interceptor as _;
    let mut interceptor = TokenInterceptor::<NoExtra>::new(Arc::new(access_verifier())).unwrap();
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(Identity::new(AuthenticatedBy::Token, "root"));
    assert!(interceptor.call(request).is_err());
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(Identity::new(AuthenticatedBy::Token, "root"));
    request.metadata_mut().insert(
        "authorization",
        format!("Bearer {}", access_token()).parse().unwrap(),
    );
    let request = interceptor.call(request).unwrap();
    assert_eq!(
        request.extensions().get::<Identity>().unwrap().subject(),
        "user-1"
    );
    assert_eq!(
        request
            .extensions()
            .get::<VerifiedToken>()
            .unwrap()
            .claims()
            .subject(),
        "user-1"
    );
    // A certificate of the connection, for a token that is bound to it.
    let claims = claims().confirmation(Confirmation::certificate(b"der"));
    let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
    for (certificate, passes) in [
        (Some(&b"der"[..]), true),
        (Some(b"other"), false),
        (None, false),
    ] {
        let mut request = Request::new(());
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        if let Some(der) = certificate {
            request
                .extensions_mut()
                .insert(ClientCertificate::new(der.to_vec()));
        }
        assert_eq!(interceptor.call(request).is_ok(), passes);
    }
}

#[tokio::test]
async fn the_layer_says_no_in_grpc() {
    let clock = clock();
    let revocations = Arc::new(MemoryRevocationStore::new(10, Arc::new(clock)));
    let verifier = access_builder()
        .revocation_store(revocations.clone())
        .build()
        .unwrap();
    let layer = AuthenticateLayer::<NoExtra>::new(Arc::new(verifier)).on_refusal(GrpcRefusal);
    let (incoming, address) = listen().await;
    let server = Server::builder()
        .layer(layer)
        .add_service(HealthServer::new(health()))
        .serve_with_incoming(incoming);
    with_server(server, async {
        let mut client = client(&address).await;
        let good = format!("Bearer {}", access_token());
        check(&mut client, &[&good]).await.unwrap();
        let status = check(&mut client, &[]).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "no credentials")
        );
        let token = signer()
            .sign(&claims().token_id("gone"), TokenType::Access, &NoExtra)
            .unwrap();
        let authorization = format!("Bearer {token}");
        check(&mut client, &[&authorization]).await.unwrap();
        revocations
            .revoke(Revocation::token(ISSUER, "gone", NOW + 1000))
            .await
            .unwrap();
        let status = check(&mut client, &[&authorization]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        check(&mut client, &[&good]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_failing_store_is_unavailable_in_grpc() {
    // Without room for anything.
    let store = Arc::new(MemoryReplayStore::new(0, Arc::new(clock())));
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(store)
        .build()
        .unwrap();
    let layer = AuthenticateLayer::<NoExtra>::new(Arc::new(verifier)).on_refusal(GrpcRefusal);
    let (incoming, address) = listen().await;
    let server = Server::builder()
        .layer(layer)
        .add_service(HealthServer::new(health()))
        .serve_with_incoming(incoming);
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    with_server(server, async {
        let status = check(&mut client(&address).await, &[&format!("Bearer {token}")])
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    })
    .await;
    let status = grpc_status(&Error::Config("x".to_owned()));
    assert_eq!(status.code(), Code::Internal);
}
