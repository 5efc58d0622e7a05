/* The yardstick: a receiver that takes each image and puts it into an HDF5 chunk, and
 * nothing else: no order, no status, no checks. One thread besides libzmq's own.
 *
 * usage: yardstick PORT ROWS COLUMNS ITEMSIZE FRAMES FILE|- FILTER(0|1) [FORWARD_PORT]
 * With FORWARD_PORT every image goes to a client there, too, which is waited for.
 * Prints {"frames", "total_s", "cpu_s", "peak_kib"}: from the first message to the file
 * being closed; what is still on its way to the client is sent after that. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

#define BACKLOG_BYTES 256000000

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static hid_t make(const char *name, hid_t file, const hsize_t *size, int itemsize, int filter) {
  hsize_t chunk[3] = {1, size[1], size[2]};
  hid_t space = H5Screate_simple(3, size, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(plist, 3, chunk);
  if (filter) {
    unsigned values[2] = {0, 2};
    H5Pset_filter(plist, 32008, H5Z_FLAG_OPTIONAL, 2, values);
  }
  return H5Dcreate2(file, name, itemsize == 2 ? H5T_STD_U16LE : H5T_STD_U32LE, space,
                    H5P_DEFAULT, plist, H5P_DEFAULT);
}

int main(int argc, char **argv) {
  if (argc < 8) return 2;
  long rows = atol(argv[2]), columns = atol(argv[3]), frames = atol(argv[5]);
  int itemsize = atoi(argv[4]), filter = atoi(argv[7]), is_written = strcmp(argv[6], "-");
  void *context = zmq_ctx_new(), *source = zmq_socket(context, ZMQ_PULL), *sink = NULL;
  int mark = BACKLOG_BYTES / (rows * columns * itemsize);
  mark = mark < 4 ? 4 : mark > 1000 ? 1000 : mark;
  zmq_setsockopt(source, ZMQ_RCVHWM, &mark, sizeof mark);
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%s", argv[1]);
  zmq_connect(source, endpoint);
  if (argc > 8) {
    sink = zmq_socket(context, ZMQ_PUSH);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%s", argv[8]);
    zmq_bind(sink, endpoint);
  }
  zmq_msg_t header, image, copy;
  zmq_msg_init(&header);
  zmq_msg_init(&image);
  zmq_msg_recv(&image, source, 0);
  double begun = now();
  hid_t file = -1, dataset = -1;
  if (is_written) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    file = H5Fcreate(argv[6], H5F_ACC_TRUNC, H5P_DEFAULT, access);
    hsize_t size[3] = {frames, rows, columns};
    dataset = make("data", file, size, itemsize, filter);
    if (dataset < 0) return 3;
  }
  hsize_t offset[3] = {0, 0, 0};
  for (long got = 0; got < frames;) {
    zmq_msg_recv(&header, source, 0);
    if (!zmq_msg_more(&header)) continue;
    zmq_msg_recv(&image, source, 0);
    if (sink) {
      zmq_msg_init(&copy);
      zmq_msg_copy(&copy, &header);
      zmq_msg_send(&copy, sink, ZMQ_SNDMORE);
      zmq_msg_init(&copy);
      zmq_msg_copy(&copy, &image);
      zmq_msg_send(&copy, sink, 0);
    }
    offset[0] = got++;
    if (is_written && H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, offset,
                                     zmq_msg_size(&image), zmq_msg_data(&image)) < 0)
      return 3;
  }
  if (is_written) {
    H5Dclose(dataset);
    H5Fclose(file);
  }
  double total = now() - begun;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("{\"frames\": %ld, \"total_s\": %.4f, \"cpu_s\": %.4f, \"peak_kib\": %ld}\n",
         frames, total,
         used.ru_utime.tv_sec + used.ru_stime.tv_sec +
             (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6,
         used.ru_maxrss);
  if (sink) zmq_close(sink);
  zmq_close(source);
  zmq_ctx_term(context);
  return 0;
}
