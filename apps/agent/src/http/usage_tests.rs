use std::sync::Arc;

use actix_web::{App, dev::Service, test};
use tepui_kit::AskError;

use super::tests::{Idle, api};
use super::*;

#[actix_web::test]
async fn usage_that_cannot_be_had_is_the_agents_fault() {
    for (fault, status, text) in [
        (
            AskError::Refused("no disk".to_owned()),
            500,
            "Failed to collect resource usage: no disk",
        ),
        (
            AskError::Timeout,
            500,
            "Failed to collect resource usage: the agent gave no answer in time",
        ),
        (
            AskError::Closed,
            500,
            "Failed to collect resource usage: the agent ends",
        ),
        (
            AskError::Full,
            503,
            "Service Unavailable: it has more requests than it can take; try again later",
        ),
    ] {
        let api = Api {
            node: Arc::new(Idle::failing(fault)),
            ..api()
        };
        let app = test::init_service(App::new().configure(api.configure())).await;
        for path in ["/monitor/statistics", "/containers"] {
            let request = test::TestRequest::with_uri(path).to_request();
            let response = app.call(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(test::read_body(response).await, text, "{path}");
        }
    }
}
