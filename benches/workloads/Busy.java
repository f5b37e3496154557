// Ordinary Java for `Busy SECONDS`: hashing, sorting, streams, calls through an interface.
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

public class Busy {
    interface Shape {
        double area(int depth);
    }

    static Shape nested(int depth) {
        if (depth == 0) {
            return d -> 1.5 * d;
        }
        List<Shape> shapes = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            shapes.add(nested(depth - 1));
        }
        return d -> shapes.stream().mapToDouble(s -> s.area(d + 1)).sum();
    }

    static final Pattern NUMBER = Pattern.compile("[0-9]+(?=,)");

    static long work(Shape shape) {
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < 2000; i++) {
            counts.merge(String.valueOf(i * 7919 % 500), i, Integer::sum);
        }
        String text = counts.entrySet().stream()
            .sorted(Map.Entry.<String, Integer>comparingByValue().thenComparing(e -> e.getKey()))
            .map(Map.Entry::getKey).collect(Collectors.joining(","));
        return NUMBER.matcher(text).results().count() + (long) shape.area(0);
    }

    public static void main(String[] args) throws InterruptedException {
        long until = System.nanoTime() + (long) (Double.parseDouble(args[0]) * 1e9);
        Runnable run = () -> {
            Shape shape = nested(5);
            long sum = 0;
            while (System.nanoTime() < until) {
                sum += work(shape);
            }
            if (sum == 0) {
                System.exit(1);
            }
        };
        Thread other = new Thread(run);
        other.start();
        run.run();
        other.join();
    }
}
