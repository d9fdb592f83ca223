//! Who may subscribe as a scheduler, and what becomes of it once the registry knows the framework (Mesos:
//! `Master::subscribe`).

use tepui_messages::{registrar::WriteRefusal, traffic::Count};
use tepui_protocol::{
    acls::user_of_framework,
    roles,
    v1::{
        FrameworkId, FrameworkInfo,
        scheduler::{Event, call, event},
    },
    validate,
};
use tepui_registry::Command;

use crate::{
    commands,
    core::{Effect, MasterCore, Pending, SubscribeRequest, Turn},
};

impl MasterCore {
    pub(crate) fn subscribe(&mut self, mut request: Box<SubscribeRequest>, turn: &mut Turn<'_>) {
        let known = request.info.id.clone().filter(|id| !id.value.is_empty());
        self.count(match known {
            Some(_) => Count::ReregisterFramework,
            None => Count::RegisterFramework,
        });
        if let Err(reason) = self.check_subscription(&request) {
            return refuse(&request.stream_id, reason, turn);
        }
        let Some(id) = known else {
            let id = format!("{}-{:04}", self.config.info.id, self.next_framework);
            self.next_framework += 1;
            request.info.id = Some(FrameworkId { value: id });
            return self.write_admission(request, turn);
        };
        if let Some(framework) = self.frameworks.get(&id.value) {
            let old = framework.info();
            if let Err(reason) = validate::framework::same_principal(old, &request.info) {
                return refuse(&request.stream_id, reason, turn);
            }
            // As Mesos: these are silently kept on a resubscription.
            request.info.user = old.user.clone();
            request.info.checkpoint = old.checkpoint;
        }
        self.write_admission(request, turn);
    }

    fn write_admission(&mut self, request: Box<SubscribeRequest>, turn: &mut Turn<'_>) {
        let id = request.info.id.clone().expect("given above").value;
        let (info, suppressed) = (&request.info, request.suppressed_roles.clone());
        let command = if self.is_in_registry(&id) {
            // That it is there is small and always taken. What it is now may be refused, and so is the subscription then.
            let connected = Command::FrameworkConnected { id };
            let command = commands::update_framework(info, suppressed);
            self.write(turn, connected, Pending::Nothing);
            command
        } else {
            commands::admit_framework(info, suppressed)
        };
        let lost = false;
        self.write(turn, command, Pending::Subscribe { request, lost });
    }

    /// Or will be, before what is written next.
    fn is_in_registry(&self, id: &str) -> bool {
        let registered = self
            .frameworks
            .get(id)
            .is_some_and(|framework| framework.registered);
        registered || self.subscribes(id)
    }

    /// Its subscription waits for the registry.
    pub(crate) fn subscribes(&self, id: &str) -> bool {
        self.pending.values().any(|pending| {
            matches!(pending, Pending::Subscribe { request, .. }
                if request.info.id.as_ref().is_some_and(|other| other.value == id))
        })
    }

    fn check_subscription(&self, request: &SubscribeRequest) -> Result<(), String> {
        self.check_framework_info(&request.info, &request.suppressed_roles)?;
        let id = request.info.id.as_ref().map_or("", |id| id.value.as_str());
        self.check_not_removed(id)?;
        request
            .offer_constraints
            .as_ref()
            .map_or(Ok(()), validate::constraints::validate)?;
        self.authorize_subscription(&request.info)
    }

    fn check_not_removed(&self, id: &str) -> Result<(), String> {
        match self.completed_frameworks.iter().any(|it| it == id) {
            true => Err("Framework has been removed".to_string()),
            false => Ok(()),
        }
    }

    /// Whether the operator allows the role (Mesos: `--roles`).
    pub(crate) fn allows_role(&self, role: &str) -> bool {
        let allowed = self.config.roles.as_ref();
        role == roles::ANY || allowed.is_none_or(|allowed| allowed.contains(role))
    }

    /// The description alone, and what this master's operator allows.
    pub(crate) fn check_framework_info(
        &self,
        info: &FrameworkInfo,
        suppressed: &[String],
    ) -> Result<(), String> {
        validate::framework::size(info)?;
        validate::framework::validate(info)?;
        let mut asked = validate::framework::roles(info);
        asked.retain(|role| !self.allows_role(role));
        if !asked.is_empty() {
            let list: Vec<&str> = asked.into_iter().collect();
            let list = list.join(", ");
            return Err(format!(
                "Roles {{ {list} }} are not present in the master's --roles"
            ));
        }
        validate::framework::suppressed_roles(info, suppressed)?;
        if user_of_framework(info) == "root" && !self.config.root_submissions {
            return Err(
                "User 'root' is not allowed to run frameworks without --root_submissions set"
                    .to_string(),
            );
        }
        Ok(())
    }

    pub(crate) fn subscribe_written(
        &mut self,
        request: SubscribeRequest,
        lost: bool,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        let id = request
            .info
            .id
            .as_ref()
            .expect("admitted with an id")
            .value
            .clone();
        if let Some(refusal) = refused {
            return self.subscription_refused(&id, &request.stream_id, refusal, turn);
        }
        let stream_id = request.stream_id.clone();
        if self.frameworks.contains_key(&id) {
            self.reconnect(&id, request, turn);
        } else {
            self.add_framework(&id, request, turn);
        }
        self.count_request(&id, call::Type::Subscribe);
        self.streams.insert(stream_id.clone(), id);
        if lost {
            self.stream_lost(&stream_id, turn);
        }
    }

    /// A framework that is told an ERROR gives up. One that is known and only changed finds its stream ended instead, and
    /// subscribes again until there is room for the change.
    fn subscription_refused(
        &self,
        id: &str,
        stream_id: &str,
        refusal: WriteRefusal,
        turn: &mut Turn<'_>,
    ) {
        if matches!(refusal, WriteRefusal::NotNow(_)) && self.frameworks.contains_key(id) {
            tracing::warn!(framework = id, %refusal, "a framework that returns changed must wait");
            let stream_id = stream_id.to_string();
            return turn.effects.push(Effect::EndStream { stream_id });
        }
        let removed = self.check_not_removed(id).err();
        refuse(
            stream_id,
            removed.unwrap_or_else(|| refusal.to_string()),
            turn,
        );
    }
}

pub(crate) fn refuse(stream_id: &str, reason: String, turn: &mut Turn<'_>) {
    turn.event(
        stream_id,
        Event {
            r#type: Some(event::Type::Error as i32),
            error: Some(event::Error { message: reason }),
            ..Default::default()
        },
    );
    turn.effects.push(crate::core::Effect::EndStream {
        stream_id: stream_id.to_string(),
    });
}
