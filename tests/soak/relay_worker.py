"""One of the concurrent random users of the relay path: root, who enters containers, or a user of the engine's socket."""
from worker import ANYWHERE, CONFLICT, FAILURE, NO_PATH, NOT_AUTHORISED, NOT_FOUND, Worker
from world import SERVICES

from relay_world import INSIDE

GATEWAY_PORTS = range(9000, 9008)
OWN_PORTS = range(9100, 9104)
BY_USER = 3  # every third worker is the user


class RelayWorker(Worker):
    BOUND = 40.0  # the engine starts a container for each hand-off, and everybody waits for the same engine
    SETTLE = 10.0  # within which a follower has found its container again
    SETUP, TEARDOWN = 0.6, 0.2

    def __init__(self, number, seed, world, history, pulse):
        owner = world.owners[number % BY_USER == 0]
        super().__init__(number, seed, None, world, owner, history, pulse)
        self._command, self._env, self._look = owner.command, owner.env, owner.look

    def request(self, chance):
        return RelayRequest(chance, self._world)

    def operations(self):
        here = [Worker._flush, Worker._load_and_remove_a_table, Worker._recreate_a_bridge]
        own = {RelayWorker._crash_a_container: 0.3, RelayWorker._move_a_container: 0.3}
        return {operation: weight for operation, weight in ANYWHERE.items() if operation not in here} | own

    def _answers_for(self, lease):
        """A user is told that an id which is not the own may be root's."""
        answers = super()._answers_for(lease)
        return answers | {NOT_AUTHORISED} if NOT_FOUND in answers and self._look != self._world.owners[0].look else answers

    def is_excused(self, status, said):
        # Another worker found the record of a lease that was being made.
        return status == FAILURE and "was released by another process" in said

    def _crash_a_container(self, chance):
        self._world.crash(self._who, chance.of(self._world.containers))

    def _move_a_container(self, chance):
        network = chance.of(self._world.networks)
        self._world.move(self._who, chance.of(network.containers), network)


class RelayRequest:
    """A port for a network, or for one container."""

    def __init__(self, chance, world):
        network, one = chance.of(world.networks), chance.of(world.containers)
        own = chance.is_so(0.6)
        self.container = one if own else None
        self.containers = [one] if own else network.containers
        self.listen = chance.of(OWN_PORTS if own else GATEWAY_PORTS)
        self.host = SERVICES[self.listen % len(SERVICES)]
        self.address = INSIDE if own else network.gateway
        self.names = [one.name] if own else [network.name]
        self.words = [f"{self.host}:{self.listen}", "--via", "relay",
                      *(("--container", one.name) if own else ("--network", network.name))]

    def __str__(self):
        return " ".join(self.words)

    @staticmethod
    def refusals(disturbed):
        return {CONFLICT, NOT_FOUND, NO_PATH, FAILURE} if disturbed else {CONFLICT}
