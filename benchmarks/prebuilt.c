/* Pushes series made of messages that were built beforehand, as fast as a receiver takes
 * them; only the index of each frame is written into its message.
 *
 * usage: prebuilt PORT HIGH_WATER_MARK, then one line a series on stdin:
 *   FRAMES START_FILE IMAGE_FILE END_FILE OFFSET text|cbor
 * Each file holds the parts of a message: for each its size (8 bytes, of this machine's
 * order), then its bytes. The index stands in part 0 of the image at OFFSET: "text" is
 * ten characters, padded with spaces in front; "cbor" four bytes, big-endian. Answers each
 * line with the seconds it took to hand all of it to the socket. */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define MAX_PARTS 32
#define SMALL 4096
/* Of a large part 0: a message that is still being sent is not changed. They are few, so
 * that they stay in the processor's cache as the one blob of blast.c does: on the same
 * machine, a sender that reads from memory slows down the receiver, too. */
#define COPIES 4

typedef struct { int count; size_t size[MAX_PARTS]; char *part[MAX_PARTS]; } message_t;
typedef struct { atomic_int is_taken; char *part; } copy_t;

static copy_t copies[COPIES];
static sem_t free_copies;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void keep(void *part, void *hint) { (void)part; (void)hint; }

static void give_back(void *part, void *copy) {
  (void)part;
  atomic_store(&((copy_t *)copy)->is_taken, 0);
  sem_post(&free_copies);
}

static message_t load(const char *name) {
  message_t message = {0};
  FILE *file = fopen(name, "rb");
  if (!file) { perror(name); exit(1); }
  uint64_t size;
  while (message.count < MAX_PARTS && fread(&size, sizeof size, 1, file) == 1) {
    char *part = malloc(size + 1);
    if (fread(part, 1, size, file) != size) exit(1);
    message.size[message.count] = size;
    message.part[message.count++] = part;
  }
  fclose(file);
  return message;
}

static void push(void *socket, const message_t *message, int first) {
  for (int k = first; k < message->count; k++) {
    zmq_msg_t part;
    if (message->size[k] < SMALL) {
      zmq_msg_init_size(&part, message->size[k]);
      memcpy(zmq_msg_data(&part), message->part[k], message->size[k]);
    } else {
      zmq_msg_init_data(&part, message->part[k], message->size[k], keep, NULL);
    }
    zmq_msg_send(&part, socket, k + 1 < message->count ? ZMQ_SNDMORE : 0);
  }
}

static void put_index(char *place, long frame, int is_text) {
  char text[24];
  snprintf(text, sizeof text, "%10ld", frame);
  if (is_text) memcpy(place, text, 10);
  else for (int k = 0; k < 4; k++) place[k] = (char)(frame >> (24 - 8 * k));
}

static void push_copy(void *socket, const message_t *image, long offset, long frame,
                      int is_text) {
  int k = 0;
  sem_wait(&free_copies);
  while (atomic_exchange(&copies[k].is_taken, 1)) k = (k + 1) % COPIES;
  put_index(copies[k].part + offset, frame, is_text);
  zmq_msg_t part;
  zmq_msg_init_data(&part, copies[k].part, image->size[0], give_back, &copies[k]);
  zmq_msg_send(&part, socket, image->count > 1 ? ZMQ_SNDMORE : 0);
  push(socket, image, 1);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUSH);
  int mark = atoi(argv[2]), linger = -1;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  char endpoint[64], line[8192], names[3][2048], kind[8];
  snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%s", argv[1]);
  if (zmq_bind(socket, endpoint)) { perror(endpoint); return 1; }
  sem_init(&free_copies, 0, COPIES);
  long frames, offset;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%ld %2047s %2047s %2047s %ld %7s", &frames, names[0], names[1],
               names[2], &offset, kind) != 6) return 2;
    message_t start = load(names[0]), image = load(names[1]), end = load(names[2]);
    int is_text = !strcmp(kind, "text"), is_large = image.size[0] >= SMALL;
    for (int k = 0; is_large && k < COPIES; k++) {
      sem_wait(&free_copies); /* once all are back, nothing of the last series is sent */
      copies[k].part = realloc(copies[k].part, image.size[0]);
      memcpy(copies[k].part, image.part[0], image.size[0]);
    }
    for (int k = 0; is_large && k < COPIES; k++) sem_post(&free_copies);
    double begun = now();
    push(socket, &start, 0);
    for (long frame = 0; frame < frames; frame++) {
      if (is_large) {
        push_copy(socket, &image, offset, frame, is_text);
      } else {
        put_index(image.part[0] + offset, frame, is_text);
        push(socket, &image, 0);
      }
    }
    push(socket, &end, 0);
    printf("%.6f\n", now() - begun);
    fflush(stdout);
  }
  zmq_close(socket);
  zmq_ctx_term(context);
  return 0;
}
