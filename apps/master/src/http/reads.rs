//! The old endpoints that only read (Mesos: `master/readonly_handler.cpp`). Methods are not looked at.

mod registry;

use serde_json::json;
use tepui_http::{Incoming, Reply};
use tepui_messages::view::Question;
use tepui_protocol::acls::Action;

use super::MasterHttp;

/// Tasks in one answer of `/tasks`, unless the query says otherwise.
const TASK_LIMIT: usize = 100;

impl MasterHttp {
    /// A question without parameters.
    pub(super) async fn read(
        &self,
        request: &Incoming,
        question: Question,
    ) -> Result<Reply, Reply> {
        let body = self.question(question, self.viewer(request)).await?;
        Ok(Reply::json(body, request.parameter("jsonp")))
    }

    pub(super) async fn slaves(&self, request: &Incoming) -> Result<Reply, Reply> {
        let slave_id = parameter(request, "slave_id");
        self.read(request, Question::Slaves { slave_id }).await
    }

    pub(super) async fn frameworks(&self, request: &Incoming) -> Result<Reply, Reply> {
        let framework_id = parameter(request, "framework_id");
        self.read(request, Question::Frameworks { framework_id })
            .await
    }

    /// Numbers that are none count as absent, as in Mesos; a negative limit is none.
    pub(super) async fn tasks(&self, request: &Incoming) -> Result<Reply, Reply> {
        let number = |name| {
            let number = request.parameter(name)?.parse::<i64>().ok()?;
            Some(usize::try_from(number))
        };
        let question = Question::Tasks {
            framework_id: parameter(request, "framework_id"),
            task_id: parameter(request, "task_id"),
            limit: number("limit").map_or(TASK_LIMIT, |it| it.unwrap_or(usize::MAX)),
            offset: number("offset").map_or(0, |it| it.unwrap_or(usize::MAX)),
            ascending: request.parameter("order") == Some("asc"),
        };
        self.read(request, question).await
    }

    pub(super) async fn maintenance_status(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET"])?;
        self.read(request, Question::MaintenanceStatus).await
    }

    pub(super) fn flags(&self, request: &Incoming) -> Result<Reply, Reply> {
        self.expect_allowed(request, Action::ViewFlags)?;
        let body = json!({"flags": self.facts.flags}).to_string();
        Ok(Reply::json(body, request.parameter("jsonp")))
    }
}

fn parameter(request: &Incoming, name: &str) -> Option<String> {
    request.parameter(name).map(str::to_string)
}
