#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

// The state holds arrays that Swift would import as tuples of tens of thousands of elements: made and ended here.
static inline struct inflate_state *clp_inflate_new(void) { return (struct inflate_state *)calloc(1, sizeof(struct inflate_state)); }
static inline void clp_inflate_begin(struct inflate_state *state) { isal_inflate_reset(state); state->crc_flag = ISAL_GZIP; }
static inline void clp_inflate_input(struct inflate_state *state, uint8_t *bytes, uint32_t count) { state->next_in = bytes; state->avail_in = count; }
static inline void clp_inflate_output(struct inflate_state *state, uint8_t *bytes, uint32_t count) { state->next_out = bytes; state->avail_out = count; }
static inline uint8_t *clp_inflate_next_in(struct inflate_state *state) { return state->next_in; }
static inline uint32_t clp_inflate_avail_in(struct inflate_state *state) { return state->avail_in; }
static inline uint32_t clp_inflate_avail_out(struct inflate_state *state) { return state->avail_out; }
static inline int clp_inflate_is_finished(struct inflate_state *state) { return state->block_state == ISAL_BLOCK_FINISH; }

// A block of deflate data that does not end the stream, begins at a byte and looks back at nothing before it: blocks can be made
// side by side and put together. `work` holds ISAL_DEF_LVL1_DEFAULT bytes. Answers the bytes made, or -1.
static inline int64_t clp_deflate_block(uint8_t *bytes, uint32_t count, uint8_t *room, uint32_t size, uint8_t *work) {
    // The library takes state and work as they are where it believes that it has used them before: other bytes would come out.
    struct isal_zstream *stream = (struct isal_zstream *)calloc(1, sizeof(struct isal_zstream));
    if (!stream) return -1;
    memset(work, 0, ISAL_DEF_LVL1_DEFAULT);
    isal_deflate_stateless_init(stream);
    stream->level = 1;
    stream->level_buf = work;
    stream->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    stream->flush = FULL_FLUSH;
    stream->end_of_stream = 0;
    stream->gzip_flag = IGZIP_DEFLATE;
    stream->next_in = bytes;
    stream->avail_in = count;
    stream->next_out = room;
    stream->avail_out = size;
    int code = isal_deflate_stateless(stream);
    int64_t made = code == COMP_OK && stream->avail_in == 0 ? (int64_t)stream->total_out : -1;
    free(stream);
    return made;
}
static inline uint32_t clp_deflate_work_size(void) { return ISAL_DEF_LVL1_DEFAULT; }
