"""llama.cpp's callback on graph nodes: stops at the blocks' outputs that somebody wants to read or move.

The scheduler asks about every node before it computes it, and calls again right after each node that the callback said
yes to: then the block is done, and nothing behind it. A thousand nodes pass for every token. So the callback is the
look-up of a dictionary, which runs in C: a node's address stands there if nobody wants the node. Only addresses that it
doesn't hold reach Python.
"""

import ctypes
from collections.abc import Callable, Collection

from steering.errors import SteeringError
from steering.models.llama_cpp.bindings import library, tensor_functions

OUTPUT = b"l_out-"
"""What block N's output is called, with N behind it."""
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)
"""Of its three arguments the first, the node: the others stand in registers that nobody looks at."""


class BlockWatch(dict[int, bool]):
    """The callback of one context."""

    def __init__(self) -> None:
        super().__init__()
        self._function = _CALLBACK(self.__getitem__)
        self.callback = ctypes.cast(self._function, library().ggml_backend_sched_eval_callback)
        """What the context's parameters take. llama.cpp keeps its address alone: keep the watch alive."""
        self._name = tensor_functions().name
        self._visit: Callable[[int, int], bool] | None = None
        self._kind: object = None
        self._wanted: Collection[int] = ()
        self._outputs: dict[int, int] = {}
        self._first: int | None = None
        self._under_way: int | None = None
        self._visited = 0
        self._error: BaseException | None = None

    def begin(self, layers: Collection[int], shape: object, visit: Callable[[int, int], bool]) -> None:
        """Before a pass: `visit(layer, node)` is to be called at these layers.

        Args:
            layers: block indices.
            shape: equal for passes whose graphs have the same nodes.
            visit: reads and moves a block's output, and says whether the pass is to go on. What it raises ends the
                pass, and `end` raises it.
        """
        if (layers, shape) != self._kind:
            self.clear()
            self._kind = (layers, shape)
        elif self._first is not None:
            self.pop(self._first, None)  # so that the first node comes to Python, once the graph stands
        self._wanted, self._visit, self._first, self._visited = layers, visit, None, 0

    def end(self, ran: bool) -> None:
        """After a pass: raise what went wrong in it.

        Args:
            ran: whether llama.cpp says that it went well.

        Raises:
            SteeringError: where it did, and blocks that were wanted didn't come by; and what a visit raised.
        """
        self._visit, self._under_way = None, None
        error, self._error = self._error, None
        if error is not None:
            raise error
        if ran and self._visited != len(self._wanted):
            self.clear()
            raise SteeringError(
                f"Expected llama.cpp to compute the outputs of {len(self._wanted)} blocks one by one, found "
                f"{self._visited} in its graph; this model can't be steered in this build of llama.cpp."
            )

    def clear(self) -> None:
        """Forget all nodes."""
        super().clear()
        self._outputs.clear()

    def __missing__(self, node: int) -> bool:
        if node == self._under_way:
            self._under_way = None
            return self._computed(node)
        if self._first is None:
            self._first = node
            self._check_outputs()
        name: bytes = self._name(node)
        layer = int(name[len(OUTPUT) :]) if name.startswith(OUTPUT) and name[len(OUTPUT) :].isdigit() else None
        if layer is None or layer not in self._wanted:
            self[node] = False
            return False
        self._outputs[node] = layer
        self._under_way = node
        return True

    def _check_outputs(self) -> None:
        """Forget all nodes where the graph was built anew, and its outputs lie elsewhere."""
        if any(self._name(node) != OUTPUT + str(layer).encode() for node, layer in self._outputs.items()):
            self.clear()

    def _computed(self, node: int) -> bool:
        """Visit the block; False ends the pass, of which llama.cpp then says that it went well."""
        try:
            assert self._visit is not None
            self._visited += 1
            return self._visit(self._outputs[node], node)
        except BaseException as error:  # raised behind the pass: here it would be printed and forgotten
            self._error = error
            return False
