/* Pushes series of the generic stream as fast as a receiver takes them.
 *
 * usage: blast PORT HIGH_WATER_MARK, then one line a series on stdin:
 *   FRAMES ROWS COLUMNS TYPE COMPRESSION PAYLOAD_FILE FILE_NAME|-
 * Answers each with the seconds it took to hand all of it to the socket. The counter
 * runs on over series, as a real source's does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void keep(void *data, void *hint) { (void)data; (void)hint; }

static char *load(const char *name, long *size) {
  FILE *file = fopen(name, "rb");
  if (!file) { perror(name); exit(1); }
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char *data = malloc(*size);
  if (fread(data, 1, *size, file) != (size_t)*size) exit(1);
  fclose(file);
  return data;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUSH);
  int mark = atoi(argv[2]), linger = -1;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  char text[1024], line[4096], type[32], compression[32], payload[1024], name[1024];
  snprintf(text, sizeof text, "tcp://127.0.0.1:%s", argv[1]);
  if (zmq_bind(socket, text)) { perror(text); return 1; }
  long frames, rows, columns, counter = 0;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%ld %ld %ld %31s %31s %1023s %1023s", &frames, &rows, &columns,
               type, compression, payload, name) != 7) return 2;
    long size;
    char *data = load(payload, &size);
    double begun = now();
    int n = snprintf(text, sizeof text,
                     "{\"htype\": \"header\", \"msg_number\": %ld, \"filename\": \"%s\"}",
                     counter++, strcmp(name, "-") ? name : "");
    zmq_send(socket, text, n, 0);
    for (long frame = 0; frame < frames; frame++) {
      n = snprintf(text, sizeof text,
                   "{\"htype\": \"image\", \"frame\": %ld, \"shape\": [%ld, %ld], "
                   "\"type\": \"%s\", \"compression\": \"%s\", \"msg_number\": %ld}",
                   frame, rows, columns, type, compression, counter++);
      zmq_send(socket, text, n, ZMQ_SNDMORE);
      zmq_msg_t message;
      if (size < 4096) {
        zmq_msg_init_size(&message, size);
        memcpy(zmq_msg_data(&message), data, size);
      } else {
        zmq_msg_init_data(&message, data, size, keep, NULL);
      }
      zmq_msg_send(&message, socket, 0);
    }
    n = snprintf(text, sizeof text, "{\"htype\": \"series_end\", \"msg_number\": %ld}",
                 counter++);
    zmq_send(socket, text, n, 0);
    printf("%.6f\n", now() - begun);
    fflush(stdout);
  }
  zmq_close(socket);
  zmq_ctx_term(context);
  return 0;
}
