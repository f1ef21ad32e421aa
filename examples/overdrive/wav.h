/* wav.h: mono 16-bit sound files, for the programs of this folder. C99, libc only. */
#ifndef WAV_H
#define WAV_H

/* Reads a mono 16-bit PCM file, full scale scaled to `level`; *count samples, *rate in Hz. The
 * caller frees the result. NULL on failure, with a message on stderr. */
float *wav_read(const char *name, double level, long *count, double *rate);

/* Writes one; samples beyond `level` are cut off at full scale. 0, or -1 with a message. */
int wav_write(const char *name, const float *samples, double level, long count, double rate);

#endif
