/* rt_set.c - ordered sets of named tensors with a map of strings beside them: what a .safetensors
 * file holds, and what parameters and states are while they are in memory. */
#include "rt_internal.h"

#include <stdlib.h>
#include <string.h>

void rt_set_free(RtTensorSet *set) {
    for (size_t i = 0; i < set->count; i++) rt_tensor_free(&set->at[i]);
    for (size_t i = 0; i < set->metadata_count; i++) {
        free(set->metadata[i].key);
        free(set->metadata[i].value);
    }
    free(set->at);
    free(set->metadata);
    memset(set, 0, sizeof *set);
}

RtTensor *rt_set_find(const RtTensorSet *set, const char *name) {
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->at[i].name, name) == 0) return &set->at[i];
    }
    return NULL;
}

RtStatus rt_set_add(RtTensorSet *set, RtTensor *tensor, char *error, size_t error_size) {
    if (tensor->name == NULL) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "a tensor of a set needs a name");
    }
    if (rt_set_find(set, tensor->name) != NULL) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: the set has this tensor already",
                       tensor->name);
    }
    RtBudget unbounded = {.left = SIZE_MAX};
    void *items = set->at;
    if (!rt_budget_grow(&unbounded, &items, set->count, &set->capacity, sizeof *set->at)) {
        return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: out of memory", tensor->name);
    }
    set->at = items;
    set->at[set->count++] = *tensor;
    memset(tensor, 0, sizeof *tensor);
    return RT_OK;
}

const char *rt_set_metadata(const RtTensorSet *set, const char *key) {
    for (size_t i = 0; i < set->metadata_count; i++) {
        if (strcmp(set->metadata[i].key, key) == 0) return set->metadata[i].value;
    }
    return NULL;
}

RtStatus rt_set_add_metadata(RtTensorSet *set, const char *key, const char *value, char *error,
                             size_t error_size) {
    if (rt_set_metadata(set, key) != NULL) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: the set has this key already", key);
    }
    RtBudget unbounded = {.left = SIZE_MAX};
    RtPair pair = {.key = malloc(strlen(key) + 1), .value = malloc(strlen(value) + 1)};
    void *items = set->metadata;
    bool grown = rt_budget_grow(&unbounded, &items, set->metadata_count, &set->metadata_capacity,
                                sizeof *set->metadata);
    set->metadata = items;
    if (!grown || pair.key == NULL || pair.value == NULL) {
        free(pair.key);
        free(pair.value);
        return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: out of memory", key);
    }
    memcpy(pair.key, key, strlen(key) + 1);
    memcpy(pair.value, value, strlen(value) + 1);
    set->metadata[set->metadata_count++] = pair;
    return RT_OK;
}
