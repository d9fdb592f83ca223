//! `POST /api/v1/scheduler` (Mesos: `master/http.cpp`, `Http::scheduler`; docs/scheduler-http-api.md).

use actix_web::http::header::HeaderName;
use tepui_http::{Incoming, MediaType, Reply, ask};
use tepui_messages::{
    master::{SchedulerCall, Subscribe},
    traffic::Count,
};
use tepui_protocol::{
    v1::scheduler::{Call, call::Type},
    validate,
};

use super::{MasterHttp, encoding, leading::while_leading, said};

const STREAM_ID: &str = "mesos-stream-id";

impl MasterHttp {
    pub(super) async fn scheduler_call(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["POST"])?;
        let call: Call = MediaType::of_request(&request.headers)?.decode(&request.body)?;
        let principal = request.principal.as_deref();
        validate::scheduler::call(&call, principal).map_err(|reason| {
            self.count_invalid(&call);
            Reply::bad_request(format!("Failed to validate scheduler::Call: {reason}"))
        })?;
        match call.r#type() {
            Type::Subscribe => return self.subscribe_scheduler(request, call),
            Type::ReconcileOperations => {
                MediaType::of_answer(&request.headers)?;
            }
            _ => {}
        }
        let call = SchedulerCall {
            stream_id: request.header(STREAM_ID).map(str::to_string),
            principal: request.principal.clone(),
            call,
        };
        ask(&self.scheduler, call).await.map(said)
    }

    /// As Mesos: of other calls it has no such number.
    fn count_invalid(&self, call: &Call) {
        let what = match call.r#type() {
            Type::Acknowledge => Count::InvalidAcknowledgement,
            Type::AcknowledgeOperationStatus => Count::InvalidOperationAcknowledgement,
            Type::Message => Count::InvalidFrameworkToExecutor,
            _ => return,
        };
        self.traffic.tally.count(what);
    }

    /// Opens the stream. From here on every refusal is an event on it.
    fn subscribe_scheduler(&self, request: &Incoming, call: Call) -> Result<Reply, Reply> {
        let media = MediaType::of_answer(&request.headers)?;
        if request.headers.contains_key(STREAM_ID) {
            return Err(Reply::bad_request(
                "Subscribe calls should not include the 'Mesos-Stream-Id' header",
            ));
        }
        let mut subscribe = call.subscribe.unwrap_or_default();
        let info = &mut subscribe.framework_info;
        // One that names another was refused before.
        info.principal = info.principal.take().or_else(|| request.principal.clone());
        let stream_id = uuid::Uuid::new_v4().to_string();
        let (stream, records) = self.proxies.open(stream_id.clone(), encoding(media));
        let told = self.subscribe.tell(Subscribe {
            info: subscribe.framework_info,
            suppressed_roles: subscribe.suppressed_roles,
            offer_constraints: subscribe.offer_constraints,
            stream_id: stream_id.clone(),
            stream,
        });
        told.map_err(|error| {
            Reply::text(
                503,
                format!("Service Unavailable: {error}; subscribe again later"),
            )
        })?;
        let records = while_leading(records, self.leadership.clone());
        Ok(Reply::stream(media.as_str(), records)
            .header(HeaderName::from_static(STREAM_ID), &stream_id))
    }
}
