/* Views: which elements of a parameter a node of the Graph is, when it computes nothing. */
#include "schedule/schedule.h"

bool normal_view(const Graph *graph, int id, View *view) {
    const Node *node = graph->nodes.at[id];
    switch (node->op) {
    case OP_PARAM: {
        *view = (View){.param = node->attr.slot, .rank = node->type.shape.rank};
        int64_t stride = 1;
        for (int d = view->rank - 1; d >= 0; d--) {
            view->dim[d] = node->type.shape.dim[d];
            view->stride[d] = stride;
            stride *= view->dim[d];
        }
        return true;
    }
    case OP_VAR:
    case OP_DETACH: return node->domain_count == 0 && normal_view(graph, node->in[0], view);
    case OP_TRANSPOSE: {
        if (!normal_view(graph, node->in[0], view)) return false;
        int64_t d = view->dim[0], s = view->stride[0];
        view->dim[0] = view->dim[1];
        view->stride[0] = view->stride[1];
        view->dim[1] = d;
        view->stride[1] = s;
        return true;
    }
    case OP_SLICE: {
        View from;
        if (!normal_view(graph, node->in[0], &from)) return false;
        *view = (View){.param = from.param, .offset = from.offset};
        for (int d = 0; d < from.rank; d++) {
            view->offset += node->attr.dims[d] * from.stride[d];
            if (node->attr.drop >> d & 1) continue;
            view->dim[view->rank] = node->attr.ends[d] - node->attr.dims[d];
            view->stride[view->rank++] = from.stride[d];
        }
        return true;
    }
    case OP_RESHAPE: {
        View from;
        if (!normal_view(graph, node->in[0], &from)) return false;
        int64_t stride = 1;
        for (int d = from.rank - 1; d >= 0; d--) {
            if (from.dim[d] != 1 && from.stride[d] != stride) return false;
            stride *= from.dim[d];
        }
        *view = (View){.param = from.param, .offset = from.offset, .rank = node->type.shape.rank};
        stride = 1;
        for (int d = view->rank - 1; d >= 0; d--) {
            view->dim[d] = node->type.shape.dim[d];
            view->stride[d] = stride;
            stride *= view->dim[d];
        }
        return true;
    }
    default: /* any other operation computes something new */ return false;
    }
}
