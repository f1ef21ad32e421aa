/* rt_checkpoint.c - a training run in one .safetensors file: parameters and moments by name, the
 * optimiser's settings, and whatever counters and arrays the caller adds. Both directions walk the
 * same list of what the file holds, so they cannot disagree. */
#include "rt_internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT_KEY[] = "format", FORMAT[] = "rnnc checkpoint 1";
static const char OPTIMISER_KEY[] = "optimiser", NO_OPTIMISER[] = "none";

enum { NAME_SIZE = 512 };

static const struct {
    const char *name;
    size_t offset;
    bool truth; /* a bool, not a double */
} SETTINGS[] = {
    {"learning_rate", offsetof(RtOptimiser, learning_rate), false},
    {"momentum", offsetof(RtOptimiser, momentum), false},
    {"weight_decay", offsetof(RtOptimiser, weight_decay), false},
    {"epsilon", offsetof(RtOptimiser, epsilon), false},
    {"decay", offsetof(RtOptimiser, decay), false},
    {"beta1", offsetof(RtOptimiser, beta1), false},
    {"beta2", offsetof(RtOptimiser, beta2), false},
    {"nesterov", offsetof(RtOptimiser, nesterov), true},
    {"centred", offsetof(RtOptimiser, centred), true},
};
enum { SETTING_COUNT = sizeof SETTINGS / sizeof SETTINGS[0] };

/* One tensor of the file and the caller's memory for it. */
typedef struct Item {
    char name[NAME_SIZE];
    RtDtype dtype;
    int rank;
    int64_t shape[RT_MAX_RANK];
    void *data;
    bool setting;
} Item;

static int slots_of(const RtCheckpoint *c) {
    return c->optimiser != NULL ? rt_optimiser_slots(c->optimiser) : 0;
}

static size_t count_items(const RtCheckpoint *c) {
    return c->place_count * (1 + (size_t)slots_of(c)) + c->array_count +
           (c->optimiser != NULL ? SETTING_COUNT : 0);
}

/* Item `index`: parameters, moments slot by slot, settings, arrays. `settings` is where settings
 * lie. False where a name is too long. */
static bool find_item(const RtCheckpoint *c, RtOptimiser *settings, size_t index, Item *item) {
    size_t const tensors = c->place_count * (1 + (size_t)slots_of(c));
    int length;
    memset(item, 0, sizeof *item);
    if (index < tensors) {
        const RtPlace *place = &c->places[index % c->place_count];
        size_t const slot = index / c->place_count, width = rt_dtype_size(c->dtype);
        unsigned char *base = c->params;
        if (slot == 0) {
            length = snprintf(item->name, NAME_SIZE, "%s", place->name);
        } else {
            const char *kind = rt_optimiser_slot_name(c->optimiser, (int)slot - 1);
            base = (unsigned char *)c->state + (slot - 1) * c->n * width;
            length = snprintf(item->name, NAME_SIZE, "optimiser/%s/%s", kind, place->name);
        }
        item->dtype = c->dtype;
        item->rank = place->rank;
        for (int i = 0; i < place->rank; i++) item->shape[i] = place->shape[i];
        item->data = base + place->offset * width;
        return (unsigned)length < NAME_SIZE;
    }
    index -= tensors;
    if (c->optimiser != NULL && index < SETTING_COUNT) {
        length = snprintf(item->name, NAME_SIZE, "optimiser/%s", SETTINGS[index].name);
        item->dtype = SETTINGS[index].truth ? RT_BOOL : RT_F64;
        item->data = (unsigned char *)settings + SETTINGS[index].offset;
        item->setting = true;
        return (unsigned)length < NAME_SIZE;
    }
    const RtArray *array = &c->arrays[index - (c->optimiser != NULL ? SETTING_COUNT : 0)];
    length = snprintf(item->name, NAME_SIZE, "array/%s", array->name);
    item->dtype = array->dtype;
    item->rank = 1;
    item->shape[0] = (int64_t)array->count;
    item->data = array->data;
    return (unsigned)length < NAME_SIZE;
}

/* ---- What the caller hands over ------------------------------------------- */

static RtStatus check_place(const RtCheckpoint *c, const RtPlace *place, char *error,
                            size_t error_size) {
    size_t count;
    if (place->name == NULL || place->rank < 0 || place->rank > RT_MAX_RANK ||
        !rt_shape_count(place->rank, place->shape, rt_dtype_size(c->dtype), &count) ||
        place->offset > c->n || count > c->n - place->offset) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "%.80s: does not lie within the %llu parameters",
                       place->name != NULL ? place->name : "a tensor without a name", RT_LLU(c->n));
    }
    return RT_OK;
}

static RtStatus check_checkpoint(const RtCheckpoint *c, char *error, size_t error_size) {
    RtStatus status = RT_OK;
    if (c->dtype != RT_F32 && c->dtype != RT_F64) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "checkpoint: parameters are %s where float32 or float64 is needed",
                       rt_dtype_name(c->dtype));
    }
    if (c->optimiser != NULL) status = rt_optimiser_check(c->optimiser, error, error_size);
    if (status == RT_OK && c->n > 0 &&
        (c->params == NULL || (c->state == NULL && slots_of(c) > 0))) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "checkpoint: the %s are NULL",
                       c->params == NULL ? "parameters" : "moments");
    }
    for (size_t i = 0; status == RT_OK && i < c->place_count; i++) {
        status = check_place(c, &c->places[i], error, error_size);
    }
    for (size_t i = 0; status == RT_OK && i < c->array_count; i++) {
        const RtArray *array = &c->arrays[i];
        if (array->name == NULL || (array->data == NULL && array->count > 0)) {
            status = rt_fail(error, error_size, RT_ERR_ARGUMENT, "checkpoint: array %llu has no %s",
                             RT_LLU(i), array->name == NULL ? "name" : "data");
        }
    }
    return status;
}

static RtStatus name_too_long(const Item *item, char *error, size_t error_size) {
    return rt_fail(error, error_size, RT_ERR_LIMIT, "%.80s...: a name is longer than %d bytes",
                   item->name, (int)NAME_SIZE - 1);
}

/* ---- Writing -------------------------------------------------------------- */

static RtStatus add_item(RtTensorSet *set, const Item *item, char *error, size_t error_size) {
    RtTensor tensor;
    RtStatus status = rt_tensor_init(&tensor, item->name, item->dtype, item->rank, item->shape,
                                     error, error_size);
    if (status != RT_OK) return status;
    size_t const bytes = tensor.count * rt_dtype_size(item->dtype);
    if (bytes > 0) memcpy(tensor.data, item->data, bytes);
    status = rt_set_add(set, &tensor, error, error_size);
    rt_tensor_free(&tensor);
    return status;
}

RtStatus rt_checkpoint_to_set(const RtCheckpoint *checkpoint, RtTensorSet *set, char *error,
                              size_t error_size) {
    const RtCheckpoint *c = checkpoint;
    size_t const count = count_items(c);
    memset(set, 0, sizeof *set);
    RtStatus status = check_checkpoint(c, error, error_size);
    if (status != RT_OK) return status;
    status = rt_set_add_metadata(set, FORMAT_KEY, FORMAT, error, error_size);
    if (status == RT_OK) {
        status = rt_set_add_metadata(set, OPTIMISER_KEY,
                                     c->optimiser != NULL ? rt_optimiser_name(c->optimiser->kind)
                                                          : NO_OPTIMISER,
                                     error, error_size);
    }
    for (size_t i = 0; status == RT_OK && i < count; i++) {
        Item item;
        status = find_item(c, c->optimiser, i, &item) ? add_item(set, &item, error, error_size)
                                                      : name_too_long(&item, error, error_size);
    }
    if (status != RT_OK) rt_set_free(set);
    return status;
}

RtStatus rt_checkpoint_write(const char *path, const RtCheckpoint *checkpoint, char *error,
                             size_t error_size) {
    RtTensorSet set;
    RtStatus status = rt_checkpoint_to_set(checkpoint, &set, error, error_size);
    if (status != RT_OK) return status;
    status = rt_safetensors_write(path, &set, error, error_size);
    rt_set_free(&set);
    return status;
}

/* ---- Reading -------------------------------------------------------------- */

/* The tensor of this item; NULL, with a message, where the set has none of this type and shape. */
static const RtTensor *match(const RtTensorSet *set, const Item *item, const char *file,
                             char *error, size_t error_size) {
    const RtTensor *tensor = rt_set_find(set, item->name);
    char has[128], wants[128];
    if (tensor == NULL) {
        rt_fail(error, error_size, RT_ERR_FORMAT, "%s: '%.80s' is not in the checkpoint", file,
                item->name);
        return NULL;
    }
    bool same = tensor->dtype == item->dtype && tensor->rank == item->rank;
    for (int i = 0; same && i < item->rank; i++) same = tensor->shape[i] == item->shape[i];
    if (same) return tensor;
    rt_fail(
        error, error_size, RT_ERR_FORMAT, "%s: '%.80s' is %s of %s, not %s of %s", file, item->name,
        rt_shape_text(tensor->rank, tensor->shape, has, sizeof has), rt_dtype_name(tensor->dtype),
        rt_shape_text(item->rank, item->shape, wants, sizeof wants), rt_dtype_name(item->dtype));
    return NULL;
}

static RtStatus check_head(const RtTensorSet *set, const RtCheckpoint *c, const char *file,
                           char *error, size_t error_size) {
    const char *format = rt_set_metadata(set, FORMAT_KEY);
    const char *optimiser = rt_set_metadata(set, OPTIMISER_KEY);
    const char *wanted =
        c->optimiser != NULL ? rt_optimiser_name(c->optimiser->kind) : NO_OPTIMISER;
    if (format == NULL || strcmp(format, FORMAT) != 0 || optimiser == NULL) {
        return rt_fail(error, error_size, RT_ERR_FORMAT, "%s: is no '%s'", file, FORMAT);
    }
    if (strcmp(optimiser, wanted) != 0) {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: the optimiser is '%.40s' where '%s' is needed", file, optimiser,
                       wanted);
    }
    return RT_OK;
}

/* Everything is there in type and shape, and nothing else; *settings becomes the file's. */
static RtStatus check_items(const RtTensorSet *set, const RtCheckpoint *c, const char *file,
                            RtOptimiser *settings, char *error, size_t error_size) {
    size_t const count = count_items(c);
    for (size_t i = 0; i < count; i++) {
        Item item;
        if (!find_item(c, settings, i, &item)) return name_too_long(&item, error, error_size);
        const RtTensor *tensor = match(set, &item, file, error, error_size);
        if (tensor == NULL) return RT_ERR_FORMAT;
        if (item.setting) memcpy(item.data, tensor->data, rt_dtype_size(item.dtype));
    }
    if (set->count != count) {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: has %llu tensors where %llu are needed", file, RT_LLU(set->count),
                       RT_LLU(count));
    }
    return RT_OK;
}

static RtStatus check_settings(const RtOptimiser *settings, const RtOptimiser *wanted,
                               const char *file, char *error, size_t error_size) {
    char why[200] = "";
    if (rt_optimiser_check(settings, why, sizeof why) != RT_OK) {
        return rt_fail(error, error_size, RT_ERR_FORMAT, "%s: %s", file, why);
    }
    int const most = rt_optimiser_slots(wanted) + 1;
    for (int i = 0; i < most; i++) {
        const char *has = rt_optimiser_slot_name(settings, i);
        const char *wants = rt_optimiser_slot_name(wanted, i);
        if (has != wants && (has == NULL || wants == NULL || strcmp(has, wants) != 0)) {
            return rt_fail(error, error_size, RT_ERR_FORMAT,
                           "%s: its settings have other moments than the file", file);
        }
    }
    return RT_OK;
}

RtStatus rt_checkpoint_from_set(const RtTensorSet *set, const char *file,
                                const RtCheckpoint *checkpoint, char *error, size_t error_size) {
    const RtCheckpoint *c = checkpoint;
    RtOptimiser settings = {0};
    RtStatus status = check_checkpoint(c, error, error_size);
    if (status != RT_OK) return status;
    if (c->optimiser != NULL) settings.kind = c->optimiser->kind;
    status = check_head(set, c, file, error, error_size);
    if (status == RT_OK) status = check_items(set, c, file, &settings, error, error_size);
    if (status == RT_OK && c->optimiser != NULL) {
        status = check_settings(&settings, c->optimiser, file, error, error_size);
    }
    if (status != RT_OK) return status;
    /* Nothing of the caller's has been changed before all was checked. Settings come last: they
     * decide how many moments there are. */
    for (size_t i = 0; i < count_items(c); i++) {
        Item item;
        find_item(c, &settings, i, &item);
        const RtTensor *tensor = rt_set_find(set, item.name);
        size_t const bytes = tensor->count * rt_dtype_size(tensor->dtype);
        if (bytes > 0) memcpy(item.data, tensor->data, bytes);
    }
    if (c->optimiser != NULL) *c->optimiser = settings;
    return RT_OK;
}

RtStatus rt_checkpoint_read(const char *path, const RtCheckpoint *checkpoint, char *error,
                            size_t error_size) {
    RtTensorSet set;
    RtStatus status = rt_safetensors_read(path, &set, error, error_size);
    if (status != RT_OK) return status;
    status = rt_checkpoint_from_set(&set, path, checkpoint, error, error_size);
    rt_set_free(&set);
    return status;
}
