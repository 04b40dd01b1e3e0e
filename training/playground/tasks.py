"""The edge to Celery. A message is only a bell: which models are to be served stands in rows."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerAway

from training.playground.keeper import start_keeping
from training.playground.services import claim_served, due_served
from training.worker import worker_name

logger = logging.getLogger(__name__)
RING_AGAIN_AFTER_S = 10


@shared_task(name="training.playground.tasks.serve_model")
def serve_model(model_id: int) -> None:
    """Claim a model and have a thread of this process keep it; holds no place in the worker."""
    served = claim_served(model_id=model_id, worker=worker_name())
    if served is not None:
        start_keeping(served)


@shared_task(name="training.playground.tasks.ring_due")
def ring_due() -> None:
    """End leases that nobody keeps, and ring for every model that still waits for a worker."""
    for model_id in due_served(ring_again_after_s=RING_AGAIN_AFTER_S):
        ring_served(model_id)


def ring_served(model_id: int) -> None:
    """Tell a worker that a model is asked for. Without a broker beat tells it again later."""
    try:
        serve_model.apply_async(args=(model_id,), expires=RING_AGAIN_AFTER_S)
    except BrokerAway:
        logger.warning("The broker does not answer: model %s waits for beat.", model_id)
