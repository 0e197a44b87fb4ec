"""`entity.presentDetails` of the local Slack, with the errors of its page in docs.slack.dev."""

from tests.fakes.slack.calling import Call, Caller, Refusal
from tests.fakes.slack.entities import frame_of, mistakes_in_entity, mistakes_in_error
from tests.fakes.slack.records import Payload


async def present_details(caller: Caller, args: Payload) -> Payload:
    twin = caller.twin
    if not twin.takes_entities:
        raise Refusal("feature_not_enabled")
    trigger, now = str(args["trigger_id"]), twin.now()
    details = twin.details.get(trigger)
    if details is None or now - twin.trigger_ids[trigger][0] > twin.timing.trigger:
        raise Refusal("invalid_trigger_id")
    entity, error = args.get("metadata"), args.get("error")
    if (entity is None) == (error is None):
        twin.violation("entity.presentDetails: either metadata or error")
        raise Refusal("invalid_arguments")
    mistakes = mistakes_in_error(error) if entity is None else mistakes_in_entity(entity)
    for mistake in mistakes:
        twin.violation(f"entity.presentDetails: {mistake}")
    if mistakes:
        raise Refusal("invalid_metadata" if error is None else "invalid_arguments")
    if entity is not None:
        if entity["external_ref"] != details.entity["external_ref"]:
            twin.violation(f"entity.presentDetails: {entity['external_ref']} is not what was clicked")
            raise Refusal("entity_metadata_does_not_match_trigger")
        if "app_unfurl_url" in entity:
            twin.violation("entity.presentDetails: app_unfurl_url is for chat.unfurl alone")
        details.preview_url = frame_of(entity, twin.embed_domains)
    details.metadata, details.error = entity, error
    return {}


CALLS: dict[str, Call] = {"entity.presentDetails": present_details}
