#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

// The state holds arrays that Swift would import as tuples of tens of thousands of elements: made and ended here.
static inline struct inflate_state *clp_inflate_new(void) { return (struct inflate_state *)calloc(1, sizeof(struct inflate_state)); }
static inline void clp_inflate_begin(struct inflate_state *state) { isal_inflate_reset(state); state->crc_flag = ISAL_GZIP; }
static inline void clp_inflate_input(struct inflate_state *state, uint8_t *bytes, uint32_t count) { state->next_in = bytes; state->avail_in = count; }
static inline void clp_inflate_output(struct inflate_state *state, uint8_t *bytes, uint32_t count) { state->next_out = bytes; state->avail_out = count; }
static inline uint8_t *clp_inflate_next_in(struct inflate_state *state) { return state->next_in; }
static inline uint32_t clp_inflate_avail_in(struct inflate_state *state) { return state->avail_in; }
static inline uint32_t clp_inflate_avail_out(struct inflate_state *state) { return state->avail_out; }
static inline int clp_inflate_is_finished(struct inflate_state *state) { return state->block_state == ISAL_BLOCK_FINISH; }
